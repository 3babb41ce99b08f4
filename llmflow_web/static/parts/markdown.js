// @ts-check
/** The tree of lib/markdown as nodes. Links open apart, without a referrer; nothing is loaded from anywhere. */
import { parse } from "../lib/markdown.js";
import { copyButton, h } from "./dom.js";

/** @param {string} text */
export function markdown(text) {
  return h("div", { class: "md", dir: "auto" }, parse(text).map(block));
}

/** @returns {any} */
function block(node) {
  switch (node.type) {
    case "heading":
      // the page has its own headings above: a model's "#" must not stand over them
      return h("p", { class: `h h${node.level}`, role: "heading", "aria-level": Math.min(6, node.level + 1) }, node.children.map(inline));
    case "code":
      return h("div", { class: "block" }, h("div", { class: "block-tools" }, node.lang ? h("span", { class: "muted" }, node.lang) : null, copyButton(() => node.text, "Copy code")),
        h("pre", { class: "code", tabindex: 0, "aria-label": node.lang ? `${node.lang} code` : "code", dir: "ltr" }, h("code", null, node.text)));
    case "quote":
      return h("blockquote", null, node.children.map(block));
    case "rule":
      return h("hr", null);
    case "list":
      return h(node.ordered ? "ol" : "ul", node.ordered && node.start !== 1 ? { start: node.start } : null, node.items.map((item) => h("li", null, item.map(block))));
    case "table":
      return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table" }, h("table", null,
        h("thead", null, h("tr", null, node.head.map((cell, /** @type {number} */ i) => h("th", { class: `a-${node.align[i]}` }, cell.map(inline))))),
        h("tbody", null, node.rows.map((row) => h("tr", null, row.map((cell, i) => h("td", { class: `a-${node.align[i]}` }, cell.map(inline))))))));
    default:
      return h("p", null, node.children.map(inline));
  }
}

/** @returns {any} */
function inline(node) {
  switch (node.type) {
    case "text":
      return node.text;
    case "code":
      return h("code", null, node.text);
    case "break":
      return h("br", null);
    case "link":
      return h("a", { href: node.href, target: "_blank", rel: "noopener noreferrer" }, node.children.map(inline));
    default:
      return h(node.type, null, node.children.map(inline));
  }
}
