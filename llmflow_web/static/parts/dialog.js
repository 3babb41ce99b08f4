// @ts-check
/** Dialogs: the native element, closed by Esc, the button or a click beside it; focus goes back where it was. */
import { h, iconButton, store, stored } from "./dom.js";
import { HELP } from "./keys.js";

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
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function openHelp() {
  const groups = HELP.map(([name, keys]) => h("section", null, h("h3", null, name),
    h("dl", null, keys.map(([key, text]) => h("div", null, h("dt", null, key.split(/\s{2,}/).map((one) => h("kbd", null, one))), h("dd", null, text))))));
  const off = h("input", { type: "checkbox", checked: stored("llmflow-keys") !== "off", onchange: () => store("llmflow-keys", off.checked ? "" : "off") });
  const words = h("p", { class: "muted" }, "Search: free words, ", h("code", null, '"a phrase"'), ", ", h("code", null, "-not"), ", ",
    ["model:gpt-4o", "provider:groq", "status:error", "tag:x", "session:x", "cost>0.01", "duration>2s", "tokens>10k", "since:1h"].map((word) => [h("code", null, word), " "]));
  return openDialog("Keyboard and search", h("div", { class: "help" }, groups, h("label", { class: "check" }, off, "Single-key shortcuts"), words));
}
