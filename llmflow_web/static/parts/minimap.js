// @ts-check
/** All bars of a great trace in a strip; dragging over it chooses what the waterfall shows. For the pointer only: keys zoom the tree itself. */
import { kindOf } from "../lib/kinds.js";
import { WHOLE, bar, between } from "../lib/waterfall.js";
import { h } from "./dom.js";

/** @param {HTMLElement} el @param {{onView: (view: import("../lib/waterfall.js").Range) => void}} options */
export function mountMinimap(el, { onView }) {
  const canvas = h("canvas", null);
  const frame = h("i", null);
  const box = h("div", { class: "minimap", "aria-hidden": "true", hidden: true }, canvas, frame);
  el.append(box);
  /** @type {(() => void)|null} */
  let again = null;
  let begin = -1;

  /** @param {MouseEvent} event */
  function shareAt(event) {
    const area = canvas.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - area.left) / Math.max(1, area.width)));
  }
  box.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    begin = shareAt(event);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => { if (begin >= 0 && Math.abs(shareAt(event) - begin) > 0.004) onView(between(begin, shareAt(event))); });
  box.addEventListener("lostpointercapture", () => { begin = -1; });
  box.addEventListener("dblclick", () => onView(WHOLE));

  /** @param {import("../lib/tree.js").Row[]} rows @param {import("../lib/waterfall.js").Scale} over */
  function draw(rows, over) {
    again = () => draw(rows, over);
    const width = box.clientWidth;
    const height = box.clientHeight;
    if (!width) return;
    const ratio = Math.min(2, devicePixelRatio || 1);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    if (!pen) return;
    pen.scale(ratio, ratio);
    const style = getComputedStyle(box);
    /** @type {Record<string, string>} */
    const colours = {};
    const colour = (/** @type {string} */ name) => (colours[name] ??= resolved(style.getPropertyValue(`--${name}`).trim()));
    const step = height / rows.length;
    rows.forEach(({ span }, i) => {
      const { wait, run } = bar(span, over, WHOLE);
      const from = wait?.left ?? run?.left ?? 0;
      const length = (wait?.width ?? 0) + (run?.width ?? 0);
      pen.fillStyle = colour((span.status ?? 0) >= 400 ? "error" : `kind-${kindOf(span.span_type)}`);
      pen.fillRect((from / 100) * width, i * step, Math.max(1, (length / 100) * width), Math.max(0.7, step * 0.8));
    });
  }

  /** A canvas knows no light-dark(): let the browser resolve it. @param {string} text */
  function resolved(text) {
    frame.style.color = text;
    const found = getComputedStyle(frame).color;
    frame.style.color = "";
    return found;
  }

  const onTheme = new MutationObserver(() => again?.());
  onTheme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const redraw = () => again?.();
  scheme.addEventListener("change", redraw);

  return {
    el: box, draw,
    /** @param {import("../lib/waterfall.js").Range} view */
    show(view) {
      frame.hidden = view.from <= 0 && view.to >= 1;
      frame.style.left = `${view.from * 100}%`;
      frame.style.width = `${(view.to - view.from) * 100}%`;
    },
    destroy() {
      onTheme.disconnect();
      scheme.removeEventListener("change", redraw);
    },
  };
}
