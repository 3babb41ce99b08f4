// @ts-check
/** Dialogs: the native element, closed by Esc, the button or a click beside it; focus goes back where it was. */
import { h, iconButton, stylesheet } from "./dom.js";

/** @param {string} title @param {import("./dom.js").Kid} content */
export function openDialog(title, content) {
  const back = /** @type {HTMLElement|null} */ (document.activeElement);
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
    h("header", null, h("h2", { id: "dialog-title" }, title), iconButton("close", "Close", () => dialog.close())), content);
  dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    back?.focus();
  });
  for (const name of ["parts", "extra"]) stylesheet(`/css/${name}.css`);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
