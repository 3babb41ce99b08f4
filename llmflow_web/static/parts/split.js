// @ts-check
/** List beside detail with a line to drag; arrows move it too; the width is kept. */
import { h, setAttr, store, stored } from "./dom.js";

const KEY = "llmflow-split";

/** @param {HTMLElement} el @param {{list: string, detail: string}} labels */
export function mountSplit(el, labels) {
  const list = h("section", { class: "pane-list", "aria-label": labels.list });
  const line = h("div", { class: "separator", role: "separator", tabindex: 0, "aria-orientation": "vertical", "aria-label": "Width of the list", "aria-valuemin": 20, "aria-valuemax": 75 });
  const detail = h("aside", { class: "pane-detail", "aria-label": labels.detail });
  const split = h("div", { class: "split" }, list, line, detail);
  el.append(split);
  let share = 44;

  /** @param {number} percent @param {boolean} [isKept] */
  function set(percent, isKept = true) {
    share = Math.min(75, Math.max(20, percent));
    split.style.setProperty("--list", `${share}%`);
    setAttr(line, "aria-valuenow", Math.round(share));
    setAttr(line, "aria-valuetext", `${Math.round(share)} percent`);
    if (isKept) store(KEY, String(Math.round(share * 10) / 10));
  }
  set(Number(stored(KEY)) || 44, false);

  line.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, Home: -100, End: 100 }[event.key];
    if (!step) return;
    event.preventDefault();
    set(share + step);
  });
  line.addEventListener("dblclick", () => set(44));
  line.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    line.setPointerCapture(event.pointerId);
    line.classList.add("is-dragged");
  });
  line.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const box = split.getBoundingClientRect();
    set(((event.clientX - box.left) / box.width) * 100);
  });
  line.addEventListener("lostpointercapture", () => line.classList.remove("is-dragged"));

  return {
    list, detail,
    get isOpen() { return split.classList.contains("is-open"); },
    /** @param {boolean} isOpen */
    open(isOpen) { split.classList.toggle("is-open", isOpen); },
  };
}
