// @ts-check
/** Zooming with the pointer: drag over the timeline to choose a stretch, Ctrl and wheel to go nearer, wheel sideways to move. */
import { between, pan, zoom } from "../lib/waterfall.js";
import { h } from "./dom.js";

const LEAST_DRAG = 5;

/** @param {HTMLElement} tree @param {{lane: HTMLElement, view: () => import("../lib/waterfall.js").Range, onView: (view: import("../lib/waterfall.js").Range) => void}} options */
export function mountLane(tree, { lane, view, onView }) {
  const mark = h("div", { class: "zoom-box", hidden: true, "aria-hidden": "true" });
  lane.append(mark);
  let begin = -1;
  let isDragged = false;

  /** Place of the pointer in the lane, 0…1. @param {MouseEvent} event */
  function shareAt(event) {
    const box = lane.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
  }

  tree.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    isDragged = false;
    if (event.button || event.pointerType === "touch" || !(event.target instanceof Element) || !event.target.closest(".lane")) return;
    begin = shareAt(event);
  });
  tree.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (begin < 0) return;
    const now = shareAt(event);
    const width = lane.clientWidth;
    if (!isDragged && Math.abs(now - begin) * width < LEAST_DRAG) return;
    if (!isDragged) tree.setPointerCapture(event.pointerId);
    isDragged = true;
    mark.hidden = false;
    mark.style.left = `${Math.min(begin, now) * 100}%`;
    mark.style.width = `${Math.abs(now - begin) * 100}%`;
  });
  const stop = (/** @type {PointerEvent} */ event) => {
    if (begin >= 0 && isDragged && event.type === "pointerup") {
      const { from, to } = view();
      onView(between(from + (to - from) * begin, from + (to - from) * shareAt(event)));
    }
    begin = -1;
    mark.hidden = true;
  };
  tree.addEventListener("pointerup", stop);
  tree.addEventListener("pointercancel", stop);
  tree.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      onView(zoom(view(), Math.exp(-Math.max(-120, Math.min(120, event.deltaY)) / 150), shareAt(event)));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && view().to - view().from < 1) {
      event.preventDefault();
      onView(pan(view(), event.deltaX / Math.max(1, lane.clientWidth)));
    }
  }, { passive: false });

  return { wasDragged: () => isDragged };
}
