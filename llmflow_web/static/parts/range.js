// @ts-check
/** Choosing a range of the time strip: by dragging, or by arrow keys with Shift, then Enter. */
import { clock, plural, stamp } from "../lib/format.js";
import { h, s, setAttr, setText } from "./dom.js";

/**
 * @param {HTMLElement} strip @param {SVGElement} svg @param {() => import("./histogram.js").Bucket[]} buckets
 * @param {import("./histogram.js").Options} options
 */
export function mountRange(strip, svg, buckets, { onRange, onClear }) {
  const told = h("span", { class: "told", "aria-hidden": "true" });
  const mark = s("rect", { class: "sel", y: 0, height: "100%", width: 0 });
  strip.append(told);
  setAttr(strip, "aria-description", "Arrow keys go through the times, with Shift they choose a range, Enter filters by it, Delete takes the time filter away.");
  /** Where a range begins and where it has got to, in buckets. @type {{from: number, to: number}|null} */
  let chosen = null;
  let isDragged = false;

  function range() {
    const data = buckets();
    if (!chosen) return null;
    const [first, last] = [chosen.from, chosen.to].sort((a, b) => a - b);
    return data[first] && data[last] ? { first, last } : null;
  }

  function show() {
    const now = range();
    if (!mark.isConnected) svg.append(mark);
    setAttr(mark, "x", now?.first ?? 0);
    setAttr(mark, "width", now ? now.last - now.first + 1 : 0);
    setText(told, now ? words(now.first, now.last) : "");
    if (!now) return;
    setAttr(strip, "aria-valuenow", chosen?.to ?? 0);
    setAttr(strip, "aria-valuetext", told.textContent);
  }

  /** @param {number} first @param {number} last */
  function words(first, last) {
    const data = buckets();
    const sum = (/** @type {"count"|"errors"} */ name) => data.slice(first, last + 1).reduce((all, one) => all + one[name], 0);
    return `${stamp(data[first].start)} – ${clock(data[last].end + 1)} · ${plural(sum("count"), "call")}${sum("errors") ? `, ${plural(sum("errors"), "error")}` : ""}`;
  }

  function choose() {
    const now = range();
    const data = buckets();
    drop();
    if (now) onRange(Math.floor(data[now.first].start), Math.ceil(data[now.last].end));
  }

  function drop() {
    isDragged = false;
    chosen = null;
    show();
  }

  /** @param {PointerEvent} event */
  function at(event) {
    const box = svg.getBoundingClientRect();
    const count = buckets().length;
    return Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
  }

  strip.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    strip.setPointerCapture(event.pointerId);
    isDragged = true;
    chosen = { from: at(event), to: at(event) };
    show();
  });
  strip.addEventListener("pointermove", (event) => {
    const here = at(event);
    chosen = { from: isDragged && chosen ? chosen.from : here, to: here };
    show();
  });
  strip.addEventListener("pointerup", () => { if (isDragged) choose(); });
  strip.addEventListener("pointerleave", () => { if (!isDragged) drop(); });
  for (const name of ["pointercancel", "blur"]) strip.addEventListener(name, drop);
  strip.addEventListener("dblclick", onClear);
  strip.addEventListener("keydown", (event) => {
    const last = buckets().length - 1;
    if (event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
    const now = chosen?.to ?? last + 1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      const place = Math.min(last, Math.max(0, to));
      chosen = { from: event.shiftKey ? (chosen?.from ?? place) : place, to: place };
      show();
    } else if (event.key === "Enter" && chosen) choose();
    else if (event.key === "Escape" && chosen) drop();
    else if (event.key === "Delete" || event.key === "Backspace") onClear();
    else return;
    event.preventDefault();
  });

  return {
    show,
    get isBusy() { return isDragged || (chosen !== null && document.activeElement === strip); },
  };
}
