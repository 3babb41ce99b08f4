// @ts-check
/** List beside detail with a line to drag; arrows move it too; the width is kept. */
import { h, setAttr, store, stored } from "./nodes.js";

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

  return {
    list, detail,
    get isOpen() { return split.classList.contains("is-open"); },
    /** @param {boolean} isOpen */
    open(isOpen) {
      split.classList.toggle("is-open", isOpen);
      if (isOpen && !line.dataset.ready) import("./separator.js").then((module) => module.mountSeparator(line, split, { get: () => share, set }));
    },
  };
}
