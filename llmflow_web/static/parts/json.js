// @ts-check
/** A value as a tree that is built where it is opened, and long text shown head first. */
import { bytes, count, head } from "../lib/format.js";
import { copyButton, h } from "./dom.js";

const SLICE = 100;
const LONG_STRING = 600;
export const HEAD_CHARS = 65_536;
const STEP_CHARS = 262_144;

/** @param {unknown} value @param {{open?: number}} [options] levels open at first */
export function jsonTree(value, { open = 2 } = {}) {
  return h("div", { class: "json mono" }, entry(null, value, open));
}

/** @param {string|number|null} key @param {number} open @returns {any} */
function entry(key, value, open) {
  const label = key === null ? null : [h("span", { class: "k" }, key), h("span", { class: "p" }, ": ")];
  if (value === null || typeof value !== "object") return h("div", { class: "leaf" }, label, scalar(value));
  const keys = Object.keys(value);
  const isArray = Array.isArray(value);
  if (!keys.length) return h("div", { class: "leaf" }, label, isArray ? "[]" : "{}");
  const details = h("details", { class: "branch" }, h("summary", null, label, h("span", { class: "p" }, preview(value, keys, isArray))));
  const body = h("div", { class: "inner" });
  details.append(body);
  let isBuilt = false;
  const build = () => {
    if (isBuilt) return;
    isBuilt = true;
    addSlice(body, value, keys, 0, open - 1, isArray);
  };
  details.addEventListener("toggle", () => { if (details.open) build(); });
  if (open > 0 && keys.length <= 50) {
    details.open = true;
    build();
  }
  return details;
}

/** @param {HTMLElement} body @param {string[]} keys @param {number} from @param {number} open @param {boolean} isArray */
function addSlice(body, value, keys, from, open, isArray) {
  const slice = keys.slice(from, from + SLICE);
  body.append(...slice.map((key) => entry(isArray ? Number(key) : key, value[key], open)));
  const rest = keys.length - from - slice.length;
  if (rest <= 0) return;
  const more = h("button", { type: "button", class: "more", onclick: () => { more.remove(); addSlice(body, value, keys, from + SLICE, open, isArray); } }, `Show ${Math.min(SLICE, rest)} of ${count(rest)} more`);
  body.append(more);
}

/** @param {string[]} keys @param {boolean} isArray */
function preview(value, keys, isArray) {
  if (isArray) return `[ ${count(keys.length)} ]`;
  const name = ["role", "type", "name", "id"].find((key) => typeof value[key] === "string");
  return `{ ${name ? `${name}: ${head(value[name], 40)}` : head(keys.join(", "), 60)} }`;
}

function scalar(value) {
  if (typeof value !== "string") return h("span", { class: `v ${typeof value}` }, String(value));
  if (value.length <= LONG_STRING) return h("span", { class: "v string" }, JSON.stringify(value).replaceAll("\\n", "\\n\u200b"));
  const text = h("span", { class: "v string" }, `"${head(value, LONG_STRING)}…`);
  const more = h("button", { type: "button", class: "more", onclick: () => { text.textContent = JSON.stringify(value); more.remove(); } }, `${count(value.length)} characters: show all`);
  return [text, more];
}

/**
 * Text of any length: the head at once, the rest piece by piece. @param {string} text @param {{size?: number|null, cls?: string}} [options]
 */
export function longText(text, { size = null, cls = "code" } = {}) {
  let shown = Math.min(text.length, HEAD_CHARS);
  const pre = h("pre", { class: cls, tabindex: 0, "aria-label": "Text" }, head(text, shown));
  if (shown >= text.length) return pre;
  const label = () => `Show more (${bytes(shown)} of ${bytes(size ?? text.length)})`;
  const more = h("button", {
    type: "button", class: "button", onclick: () => {
      const next = Math.min(text.length, shown + STEP_CHARS);
      pre.append(text.slice(pre.textContent.length, next));
      shown = next;
      if (shown >= text.length) more.remove();
      else more.textContent = label();
    },
  }, label());
  return h("div", null, pre, more);
}

/** A value with the choice of tree and text, and a copy button. @param {unknown} value @param {string} label @param {{open?: number}} [options] */
export function jsonBlock(value, label, options) {
  const text = () => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return h("div", { class: "block" }, h("div", { class: "block-tools" }, copyButton(text, `Copy ${label}`)),
    typeof value === "string" ? longText(value) : jsonTree(value, options));
}
