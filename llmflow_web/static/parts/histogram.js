// @ts-check
/** Calls over time in a strip of 48 px, errors at the foot; dragging chooses a range. */
import { count, stamp } from "../lib/format.js";
import { h, put, s } from "./dom.js";

/** @param {HTMLElement} el @param {{onRange: (from: number, to: number) => void}} options */
export function mountHistogram(el, { onRange }) {
  const svg = s("svg", { preserveAspectRatio: "none", role: "img", "aria-label": "Calls over time" });
  const strip = h("div", { class: "strip", hidden: true }, svg);
  el.append(strip);
  let data = [];
  let drag = null;
  const mark = s("rect", { class: "sel", y: 0, height: 40, width: 0 });
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * data.length;
  };
  strip.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    strip.setPointerCapture(event.pointerId);
    drag = at(event);
  });
  strip.addEventListener("pointermove", (event) => {
    const here = at(event);
    const bucket = data[Math.min(data.length - 1, Math.floor(here))];
    if (bucket) strip.title = `${stamp(bucket.start)}: ${count(bucket.count)} calls, ${count(bucket.errors)} errors`;
    if (drag === null) return;
    mark.setAttribute("x", Math.min(drag, here));
    mark.setAttribute("width", Math.abs(here - drag));
  });
  strip.addEventListener("pointerup", (event) => {
    if (drag === null) return;
    const [from, to] = [drag, at(event)].sort((a, b) => a - b);
    drag = null;
    mark.setAttribute("width", 0);
    const first = data[Math.floor(from)];
    const last = data[Math.min(data.length - 1, Math.floor(to))];
    if (first && last) onRange(Math.floor(first.start), Math.ceil(last.end));
  });

  return {
    update(answer) {
      const list = answer.buckets ?? answer ?? [];
      const start = (one) => one.start ?? one.bucket ?? one.timestamp ?? one.from;
      const step = list.length > 1 ? start(list[1]) - start(list[0]) : 60_000;
      data = list.map((one) => ({ start: start(one), end: one.end ?? start(one) + step - 1, count: one.count ?? one.requests ?? 0, errors: one.errors ?? one.error_count ?? 0 }));
      const most = Math.max(1, ...data.map((one) => one.count));
      const total = data.reduce((sum, one) => sum + one.count, 0);
      strip.hidden = total === 0;
      svg.setAttribute("viewBox", `0 0 ${data.length || 1} 40`);
      const rect = (i, y, height, cls) => height && s("rect", { class: cls, x: i + 0.08, width: 0.84, y, height });
      put(svg, data.map((one, i) => {
        const high = one.count ? Math.max(2, (one.count / most) * 40) : 0;
        const bad = one.errors ? Math.max(2, (one.errors / most) * 40) : 0;
        return [rect(i, 40 - high, high, "n"), rect(i, 40 - bad, bad, "e")];
      }), mark);
      svg.setAttribute("aria-label", `${count(total)} calls over time, ${count(data.reduce((sum, one) => sum + one.errors, 0))} errors`);
    },
  };
}
