// @ts-check
/** A value as a tree that is built where it is opened, and long text shown head first. */
import { bytes, count, head, visible } from "../lib/format.js";
import { LONG_STRING, at, children, node as nodeOf } from "../lib/nodes.js";
import { copyButton, h } from "./dom.js";

const SLICE = 100;
export const HEAD_CHARS = 65_536;
const STEP_CHARS = 262_144;
const BLOCK_CHARS = 4096;

/**
 * Where a tree's nodes come from: the value itself, or a worker that holds it.
 * @typedef {import("../lib/nodes.js").Node} Node
 * @typedef {(string|number)[]} Path
 * @typedef {{root: Node, children: (path: Path, from: number, count: number) => Node[]|Promise<Node[]>, text: (path: Path) => string|Promise<string>}} Source
 */

/** @param {unknown} value @returns {Source} */
function sourceOf(value) {
  return {
    root: nodeOf(null, value),
    children: (path, from, most) => children(value, path, from, most),
    text: (path) => asText(at(value, path)),
  };
}

/** @param {unknown} value */
export function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** @param {unknown} value @param {{open?: number}} [options] levels open at first */
export function jsonTree(value, options) {
  return treeOf(sourceOf(value), options);
}

/** @param {Source} source @param {{open?: number}} [options] */
export function treeOf(source, { open = 2 } = {}) {
  return h("div", { class: "json mono" }, entry(source, [], source.root, open));
}

/** @param {Source} source @param {Path} path @param {Node} node @param {number} open @returns {any} */
function entry(source, path, node, open) {
  const label = node.key === null ? null : [h("span", { class: "k" }, visible(node.key)), h("span", { class: "p" }, ": ")];
  const isBranch = (node.kind === "object" || node.kind === "array") && node.size > 0;
  if (!isBranch) return h("div", { class: "leaf" }, label, scalar(source, path, node));
  const details = h("details", { class: "branch" }, h("summary", null, label, h("span", { class: "p" }, node.text)));
  const body = h("div", { class: "inner" });
  details.append(body);
  let isBuilt = false;
  const build = () => {
    if (isBuilt) return;
    isBuilt = true;
    addSlice(source, path, node, body, 0, open - 1);
  };
  details.addEventListener("toggle", () => { if (details.open) build(); });
  if (open > 0 && node.size <= 50) {
    details.open = true;
    build();
  }
  return details;
}

/** @param {Source} source @param {Path} path @param {Node} parent @param {HTMLElement} body @param {number} from @param {number} open */
function addSlice(source, path, parent, body, from, open) {
  const add = (/** @type {Node[]} */ nodes) => {
    body.append(...nodes.map((node) => entry(source, [...path, /** @type {string|number} */ (node.key)], node, open)));
    const rest = parent.size - from - nodes.length;
    if (rest <= 0 || !nodes.length) return;
    const more = h("button", { type: "button", class: "more", onclick: () => { more.remove(); addSlice(source, path, parent, body, from + SLICE, open); } }, `Show ${Math.min(SLICE, rest)} of ${count(rest)} more`);
    body.append(more);
  };
  const found = source.children(path, from, SLICE);
  if (found instanceof Promise) found.then(add, (error) => body.append(h("p", { class: "hint" }, String(error.message ?? error))));
  else add(found);
}

/** @param {Source} source @param {Path} path @param {Node} node */
function scalar(source, path, node) {
  if (node.kind !== "string") return h("span", { class: `v ${node.kind}` }, node.text);
  if (node.size <= LONG_STRING) return h("span", { class: "v string" }, quoted(node.text));
  const text = h("span", { class: "v string" }, `${quoted(node.text).slice(0, -1)}…`);
  const more = h("button", { type: "button", class: "more", onclick: async () => {
    const whole = quoted(await source.text(path));
    more.remove();
    if (whole.length <= HEAD_CHARS) text.textContent = whole;
    else text.replaceWith(longText(whole, { cls: "plain" }));
  } }, `${count(node.size)} characters: show all`);
  return [text, more];
}

/** @param {string} text */
function quoted(text) {
  return JSON.stringify(text).replaceAll("\\n", "\\n\u200b"); // a place to break the line at
}

/**
 * Put text into a `pre` in blocks that the browser lays out only where they are looked at: megabytes in one block take seconds.
 * Cut at line ends where there are any near. @param {HTMLElement} pre @param {string} text
 */
export function pour(pre, text) {
  const blocks = document.createDocumentFragment();
  for (let at = 0; at < text.length;) {
    let piece = head(text.slice(at, at + BLOCK_CHARS), BLOCK_CHARS);
    const end = at + piece.length < text.length ? Math.max(piece.lastIndexOf("\n"), piece.lastIndexOf(" ", piece.length - 2)) : -1;
    if (end > BLOCK_CHARS / 2) piece = piece.slice(0, end + 1);
    blocks.append(h("span", null, piece));
    at += piece.length;
  }
  pre.classList.add("poured");
  pre.append(blocks);
}

/**
 * Text of any length: the head at once, the rest piece by piece. @param {string} text @param {{size?: number|null, cls?: string}} [options]
 */
export function longText(text, { size = null, cls = "code" } = {}) {
  let shown = Math.min(text.length, HEAD_CHARS);
  const pre = h("pre", { class: cls, tabindex: 0, "aria-label": "Text", dir: "auto" });
  const first = head(text, shown);
  if (first.length > BLOCK_CHARS) pour(pre, first);
  else pre.append(first);
  if (shown >= text.length) return pre;
  shown = first.length;
  const label = () => `Show more (${bytes(shown)} of ${bytes(size ?? text.length)})`;
  const more = h("button", {
    type: "button", class: "button", onclick: () => {
      const piece = head(text.slice(shown), STEP_CHARS);
      pour(pre, piece);
      shown += piece.length;
      if (shown >= text.length) more.remove();
      else more.textContent = label();
    },
  }, label());
  return h("div", null, pre, more);
}

/** A value with a copy button. @param {unknown} value @param {string} label @param {{open?: number}} [options] */
export function jsonBlock(value, label, options) {
  return h("div", { class: "block" }, h("div", { class: "block-tools" }, copyButton(() => asText(value), `Copy ${label}`)),
    typeof value === "string" ? longText(value) : jsonTree(value, options));
}
