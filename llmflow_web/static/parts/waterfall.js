// @ts-check
/** Spans as a tree with bars beside it: role=treegrid, windowed, arrows fold and move. */
import * as format from "../lib/format.js";
import { kindOf, outcome, title } from "../lib/outcome.js";
import { spanMatches } from "../lib/search.js";
import { bar, bounds, flatten, foldable, nextRow, startOf, ticks } from "../lib/tree.js";
import { h, icon, put, setAttr, setText } from "./dom.js";
import { mountWindow } from "./window.js";

const ROW = 26;

/** @param {HTMLElement} el @param {{roots: any[], onSelect: (span: any) => void}} options */
export function mountWaterfall(el, { roots, onSelect }) {
  const folded = new Set();
  const box = bounds(roots);
  const length = box.end - box.start;
  let rows = flatten(roots, folded);
  let selected = "";
  let needle = "";
  const axis = h("div", { class: "axis", "aria-hidden": "true" }, ticks(length, el.clientWidth < 560 ? 2 : 5).filter((at) => at < length * 0.92).map((at) => {
    const tick = h("span", null, format.duration(at).replace(/\.0+ /, " "));
    tick.style.left = `${(at / length) * 100}%`;
    return tick;
  }));
  const head = h("div", { class: "row head", role: "row" },
    ["Span", "Duration", "Tokens", "Cost"].map((label, i) => h("div", { role: "columnheader", class: i ? "num" : "name" }, label)), h("div", { role: "columnheader", class: "lane" }, h("span", { class: "sr" }, "Timeline"), axis));
  const tree = h("div", { class: "tree", role: "treegrid", "aria-label": "Spans", tabindex: 0 }, h("div", { role: "rowgroup", class: "group" }, head));
  el.append(tree);
  const list = mountWindow(tree, { rowHeight: ROW, top: ROW, role: "rowgroup", keyAt: (i) => rows[i]?.span.id, make, render });

  function make() {
    const cell = (/** @type {string} */ cls, ...kids) => h("div", { role: "gridcell", class: cls }, kids);
    return h("div", { class: "row", role: "row", tabindex: -1 },
      cell("name", h("span", { class: "indent", "aria-hidden": "true" }), h("span", { class: "twist", "aria-hidden": "true" }, icon("fold")), h("span", { class: "kind" }), h("span", { class: "label" }), h("span", { class: "model muted" })),
      cell("num dur"), cell("num tok"), cell("num cost"), h("div", { role: "gridcell", class: "lane" }, h("div", { class: "bar", "aria-hidden": "true" }, h("i", { class: "wait" }), h("i", { class: "run" }))));
  }

  /** @param {number} index */
  function render(node, index) {
    const row = rows[index];
    const { span } = row;
    const state = outcome({ ...span, error_count: 0 });
    const [name, dur, tok, cost, lane] = node.children;
    node.dataset.index = String(index);
    node.dataset.kind = kindOf(span.span_type);
    node.classList.toggle("is-error", state.kind === "error");
    node.classList.toggle("is-found", needle !== "" && spanMatches(span, needle));
    setAttr(node, "aria-level", row.depth + 1);
    setAttr(node, "aria-posinset", row.position);
    setAttr(node, "aria-setsize", row.siblings);
    setAttr(node, "aria-expanded", row.children ? (folded.has(span.id) ? "false" : "true") : null);
    setAttr(node, "aria-selected", span.id === selected ? "true" : "false");
    setAttr(node, "tabindex", span.id === selected ? 0 : -1);
    setAttr(node, "aria-label", `${title(span)} ${span.model ?? ""}, ${span.span_type ?? "span"}, ${format.duration(span.duration_ms)}, starts at ${format.duration(startOf(span) - box.start)}, ${state.label}`);
    name.children[0].style.width = `${Math.min(row.depth, 20) * 14}px`;
    name.children[1].classList.toggle("is-leaf", !row.children);
    if (name.children[2].dataset.icon !== node.dataset.kind + state.kind) {
      name.children[2].dataset.icon = node.dataset.kind + state.kind;
      put(name.children[2], icon(state.kind === "error" ? "error" : node.dataset.kind));
    }
    setText(name.children[3], title(span));
    setText(name.children[4], span.model && !title(span).includes(span.model) ? span.model : state.kind === "error" ? state.word : "");
    setText(dur, format.duration(span.duration_ms));
    setText(tok, span.total_tokens ? format.compact(span.total_tokens) : "");
    setText(cost, span.estimated_cost ? format.cost(span.estimated_cost) : "");
    paintBar(lane.firstChild, span);
  }

  function paintBar(node, span) {
    const { left, width, wait } = bar(span, box);
    node.style.left = `${left}%`;
    node.style.width = `max(2px, ${width}%)`;
    node.children[0].style.width = `${(wait ?? 0) * 100}%`;
    node.title = wait == null ? format.duration(span.duration_ms) : `${format.duration(span.ttft_ms)} to the first token, ${format.duration(span.duration_ms)} in all`;
  }

  function indexOfSelected() {
    return rows.findIndex((row) => row.span.id === selected);
  }

  function refresh() {
    rows = flatten(roots, folded);
    const at = indexOfSelected();
    setAttr(tree, "tabindex", at < 0 ? 0 : -1);
    setAttr(tree, "aria-rowcount", rows.length + 1);
    list.update(rows.length, at);
    tree.style.height = `${(rows.length + 1) * ROW + 2}px`; // a small tree takes little room, a great one what the panel gives
  }

  /** @param {number} index @param {boolean} [isTold] */
  function pick(index, isTold = true) {
    const row = rows[index];
    if (!row) return;
    const hadFocus = isTold || tree.contains(document.activeElement);
    const isNew = selected !== row.span.id;
    selected = row.span.id;
    refresh();
    list.reveal(index);
    if (hadFocus) list.nodeOf(selected)?.focus({ preventScroll: true });
    if (isTold && isNew) onSelect(row.span);
  }

  /** @param {string} id @param {boolean} [isFolded] */
  function fold(id, isFolded = !folded.has(id)) {
    if (isFolded) folded.add(id);
    else folded.delete(id);
    refresh();
    list.nodeOf(selected)?.focus({ preventScroll: true });
  }

  /** @param {boolean} isFolded */
  function foldAll(isFolded) {
    folded.clear();
    if (isFolded) for (const id of foldable(roots)) folded.add(id);
    refresh();
    if (indexOfSelected() < 0) pick(0);
  }

  tree.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target);
    const node = target.closest(".row:not(.head)");
    if (!(node instanceof HTMLElement)) return;
    const index = Number(node.dataset.index);
    pick(index);
    if (target.closest(".twist") && rows[index]?.children) fold(rows[index].span.id);
  });
  tree.addEventListener("focus", () => { if (indexOfSelected() < 0) pick(0); });
  tree.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = indexOfSelected();
    const row = rows[at];
    const isError = (span) => (span.status ?? 0) >= 400;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => pick(Math.min(rows.length - 1, at + 1)), ArrowUp: () => pick(Math.max(0, at - 1)), j: () => pick(Math.min(rows.length - 1, at + 1)), k: () => pick(Math.max(0, at - 1)),
      Home: () => pick(0), End: () => pick(rows.length - 1), PageDown: () => pick(Math.min(rows.length - 1, at + list.pageSize())), PageUp: () => pick(Math.max(0, at - list.pageSize())),
      ArrowRight: () => row?.children && (folded.has(row.span.id) ? fold(row.span.id, false) : pick(at + 1)),
      ArrowLeft: () => row && (row.children && !folded.has(row.span.id) ? fold(row.span.id, true) : row.parent >= 0 && pick(row.parent)),
      Enter: () => row?.children && fold(row.span.id), o: () => foldAll(true), O: () => foldAll(false),
      e: () => pick(nextRow(rows, at, 1, isError)), E: () => pick(nextRow(rows, at, -1, isError)),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key]();
  });

  return {
    /** @param {string} id */
    select(id) {
      selected = id;
      refresh();
      const at = indexOfSelected();
      if (at >= 0) list.reveal(at);
    },
    /** @param {string} text @returns {number} */
    find(text) {
      needle = text;
      refresh();
      return text ? rows.filter((row) => spanMatches(row.span, text)).length : 0;
    },
    foldAll,
    destroy: () => list.destroy(),
  };
}
