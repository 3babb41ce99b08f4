// @ts-check
/** A panel below the button that opens it. What is in it is made each time; Esc, a click or a step elsewhere closes it. */
import { h, put, setAttr, stylesheet } from "./dom.js";

/** @typedef {(panel: HTMLElement, close: () => void) => void|Promise<void>} Build */

/** Open the panel of this button, or close it. @param {HTMLElement} button @param {Build} build */
export async function toggle(button, build) {
  const box = /** @type {HTMLElement} */ (button.parentElement);
  const old = box.querySelector(".panel-box");
  if (old) {
    old.dispatchEvent(new Event("close"));
    return;
  }
  await Promise.all(["parts", "extra"].map((name) => stylesheet(`/css/${name}.css`)));
  const panel = h("div", { class: "panel-box", role: "group", "aria-label": button.title, tabindex: -1 }); // a press on its words must not lead the focus out of it
  box.append(panel);
  setAttr(button, "aria-expanded", "true");
  const ending = new AbortController();
  const close = (isBack = false) => {
    ending.abort();
    panel.remove();
    setAttr(button, "aria-expanded", "false");
    if (isBack) button.focus();
  };
  panel.addEventListener("close", () => close());
  const { signal } = ending;
  box.addEventListener("keydown", (event) => onKey(event, panel, () => close(true)), { signal });
  box.addEventListener("focusout", (event) => { if (event.relatedTarget instanceof Node && !box.contains(event.relatedTarget)) close(); }, { signal });
  document.addEventListener("pointerdown", (event) => { if (event.target instanceof Node && !box.contains(event.target)) close(); }, { signal });
  put(panel, h("p", { class: "muted" }, "…"));
  await build(panel, () => close(true));
  /** @type {HTMLElement|null} */ (panel.querySelector("a[href], button, input"))?.focus();
}

/** @param {KeyboardEvent} event @param {HTMLElement} panel @param {() => void} close */
function onKey(event, panel, close) {
  const all = /** @type {HTMLElement[]} */ ([...panel.querySelectorAll("a[href], button, input")]);
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (event.key === "Escape") close();
  else if (to !== undefined && all.length) all[(to + all.length) % all.length].focus();
  else return;
  event.preventDefault();
}
