// @ts-check
/** Making nodes, and what the first screen does without: times, copying, notices. */
import { announce, h, icon } from "./nodes.js";

export * from "./nodes.js";

/** @param {number} ms @param {string} text @param {string} title */
export function time(ms, text, title) {
  return h("time", { datetime: Number.isFinite(ms) ? new Date(ms).toISOString() : null, title }, text);
}

/** Put text on the clipboard, also where the clipboard API is closed to plain http. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "sr", "aria-hidden": "true", value: text });
    document.body.append(area);
    const focused = /** @type {HTMLElement|null} */ (document.activeElement);
    area.select();
    document.execCommand("copy");
    area.remove();
    focused?.focus();
  }
  announce("Copied");
}

/** A button that copies and says so. @param {() => string|Promise<string>} text @param {string} label @param {string} [words] shown beside the icon */
export function copyButton(text, label, words) {
  const button = h("button", {
    type: "button", class: words ? "button" : "ghost small", title: label, "aria-label": words ? null : label,
    onclick: async () => {
      await copy(await text());
      button.classList.add("is-done");
      setTimeout(() => button.classList.remove("is-done"), 1200);
    },
  }, icon("copy"), words);
  return button;
}

/** A box that says why there is nothing, and offers one action. @param {string} title @param {string} text @param {Kid} [action] */
export function notice(title, text, action) {
  return h("div", { class: "notice" }, h("h2", null, title), text ? h("p", null, text) : null, action);
}

/** What to show when a question to the server failed. @param {() => void} retry */
export function failure(error, retry) {
  return h("div", { class: "notice", role: "alert" }, h("h2", null, icon("error"), error.status ? "The server could not answer" : "No answer from LLMFlow"),
    h("p", null, String(error.message || error)), h("button", { type: "button", class: "button", onclick: retry }, "Retry"));
}

/** What an address shows that is none of ours. */
export function lost() {
  return h("div", { class: "screen page" }, h("div", { class: "notice" }, h("h1", null, "Nothing lives at this address"), h("a", { class: "button", href: "/traces" }, "To the traces")));
}
