// @ts-check
/** Spans as a tree with bars beside it: role=treegrid, windowed; arrows fold and move, + - 0 and dragging zoom. */
import * as format from "../lib/format.js";
import { kindOf } from "../lib/kinds.js";
import { outcome, title } from "../lib/outcome.js";
import { flatten, foldable, joinedId, nextRow, startOf, withTwins } from "../lib/tree.js";
import * as w from "../lib/waterfall.js";
import { h, icon, put, setAttr, setText } from "./dom.js";
import { mountLane } from "./lane.js";
import { mountMinimap } from "./minimap.js";
import { mountStalls } from "./stalls.js";
import { mountWindow } from "./window.js";

const ROW = 26;
const MINIMAP_SPANS = 200;
const LENGTHS = /** @type {const} */ ([["time", "Time"], ["cost", "Cost"], ["tokens", "Tokens"]]);

/** @typedef {{how: "click"|"key"|"jump"}} Picked */

/** @param {HTMLElement} el @param {{roots: any[], rows: import("../lib/tree.js").Row[], trace: string, onSelect: (span: any, picked: Picked) => void}} options */
export function mountWaterfall(el, { roots: given, rows: flat, trace, onSelect }) {
  const folded = new Set();
  let roots = withTwins(given, flat);
  let all = rowsOf(given, flat);
  let rows = all;
  let selected = "";
  /** @type {ReadonlySet<string>} */
  let found = new Set();
  /** Time of events of the selected span, in ms. @type {number[]} */
  let events = [];
  const chart = { box: w.boxOf(all), over: w.scale(w.boxOf(all)), view: w.WHOLE, isCompressed: false, length: "time", amounts: /** @type {any} */ (null), path: w.criticalPath(roots) };
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const lane = h("div", { role: "columnheader", class: "lane" }, h("span", { class: "sr" }, "Timeline"), axis);
  const head = h("div", { class: "row head", role: "row" }, ["Span", "Duration", "Tokens", "Cost"].map((label, i) => h("div", { role: "columnheader", class: i ? `num ${["", "dur", "tok", "cost"][i]}` : "name" }, label)), lane);
  const group = h("div", { role: "rowgroup", class: "group" }, head);
  const tree = h("div", { class: "tree", role: "treegrid", "aria-label": "Spans", tabindex: 0 }, group);
  const tools = toolbar();
  el.append(tools.el);
  const map = mountMinimap(el, { onView: setView });
  el.append(tree);
  map.el.hidden = all.length <= MINIMAP_SPANS;
  takeHeight(); // all that takes room stands before the window of rows measures it
  const list = mountWindow(tree, { rowHeight: ROW, top: ROW, role: "rowgroup", keyAt: (i) => rows[i]?.span.id, make, render, onRange: (first, last) => stalls.look(rows.slice(first, last).map((row) => row.span)) });
  const stalls = mountStalls(trace, () => list.update(rows.length, indexOf(selected)));
  const zooming = mountLane(tree, { lane, view: () => chart.view, onView: setView });

  /** The rows are known already where nothing was joined: a great tree is walked through once. @param {any[]} before */
  function rowsOf(before, known) {
    return roots === before && known.length ? known : flatten(roots, new Set());
  }

  function toolbar() {
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {() => void} */ run) => h("button", { type: "button", class: "more", title: label, "aria-label": label, onclick: run }, text);
    const compress = h("button", { type: "button", class: "more toggle", "aria-pressed": "false", title: "Draw stretches together in which nothing ran", onclick: () => { chart.isCompressed = !chart.isCompressed; rescale(); } }, "Compress gaps");
    const length = h("select", { "aria-label": "What the bars show", onchange: () => { chart.length = length.value; rescale(); } }, LENGTHS.map(([id, label]) => h("option", { value: id }, label)));
    return {
      compress, el: h("div", { class: "tree-tools" }, button("Fold all", "Fold all (o)", () => foldAll(true)), button("Unfold all", "Unfold all (O)", () => foldAll(false)), h("span", { class: "grow" }), compress, length,
        h("span", { class: "zoom", role: "group", "aria-label": "Zoom" }, button("−", "Zoom out (-)", () => zoom(0.5)), button("+", "Zoom in (+)", () => zoom(2)), button("Fit", "Whole trace (0)", () => setView(w.WHOLE)))),
    };
  }

  function make() {
    const cell = (/** @type {string} */ cls, ...kids) => h("div", { role: "gridcell", class: cls }, kids);
    return h("div", { class: "row", role: "row", tabindex: -1 },
      cell("name", h("span", { class: "indent", "aria-hidden": "true" }), h("span", { class: "twist", "aria-hidden": "true" }, icon("fold")), h("span", { class: "kind" }), h("span", { class: "label" }), h("span", { class: "model muted" })),
      cell("num dur"), cell("num tok"), cell("num cost"), h("div", { role: "gridcell", class: "lane" }, h("div", { class: "bars-of", "aria-hidden": "true" }, h("i", { class: "wait" }), h("i", { class: "run" }), h("b"))));
  }

  /** @param {number} index */
  function render(node, index) {
    const row = rows[index];
    const { span } = row;
    const state = outcome({ ...span, error_count: 0 });
    const kind = kindOf(span.span_type);
    const [name, dur, tok, cost, own] = node.children;
    node.dataset.index = String(index);
    node.dataset.kind = kind;
    node.classList.toggle("is-error", state.kind === "error");
    node.classList.toggle("is-found", found.has(span.id));
    setAttr(node, "aria-level", row.depth + 1);
    setAttr(node, "aria-posinset", row.position);
    setAttr(node, "aria-setsize", row.siblings);
    setAttr(node, "aria-rowindex", index + 2);
    setAttr(node, "aria-expanded", row.children ? (folded.has(span.id) ? "false" : "true") : null);
    setAttr(node, "aria-selected", span.id === selected ? "true" : "false");
    setAttr(node, "tabindex", span.id === selected ? 0 : -1);
    setAttr(node, "aria-label", labelOf(span, state));
    name.children[0].style.width = `${Math.min(row.depth, 20) * 14}px`;
    name.children[1].classList.toggle("is-leaf", !row.children);
    const sign = state.kind === "error" || state.kind === "running" ? state.icon : kind;
    if (name.children[2].dataset.icon !== sign) {
      name.children[2].dataset.icon = sign;
      put(name.children[2], icon(sign));
    }
    setText(name.children[3], title(span));
    setText(name.children[4], noteOf(span, state));
    setText(dur, span.running ? "running" : format.duration(span.duration_ms));
    setText(tok, span.total_tokens ? format.compact(span.total_tokens) : "");
    setText(cost, span.estimated_cost ? format.cost(span.estimated_cost) : "");
    paint(own.firstChild, span);
  }

  function labelOf(span, state) {
    const times = `${format.duration(span.duration_ms)}, starts at ${format.duration(startOf(span) - chart.box.start)}`;
    return [`${title(span)}${span.model ? ` ${format.visible(span.model)}` : ""}`, span.span_type ?? "span", times, state.label, chart.path.has(span.id) && rows.length > 1 ? "on the critical path" : "", found.has(span.id) ? "match" : ""].filter(Boolean).join(", ");
  }

  function noteOf(span, state) {
    if (span.twin) return `joined with ${title(span.twin)}`;
    if (span.model && !title(span).includes(span.model)) return format.visible(span.model);
    return state.kind === "error" ? state.word : "";
  }

  /** @param {HTMLElement} node */
  function paint(node, span) {
    const [wait, run, marks] = /** @type {any} */ (node.children);
    if (chart.length !== "time") {
      const amount = chart.amounts.byId.get(span.id) ?? { own: 0, branch: 0 };
      const percent = (/** @type {number} */ value) => (chart.amounts.most ? (value / chart.amounts.most) * 100 : 0);
      place(wait, amount.branch > amount.own ? { left: percent(amount.own), width: percent(amount.branch - amount.own) } : null);
      place(run, amount.own ? { left: 0, width: percent(amount.own) } : null);
      put(marks);
      return;
    }
    const { over, view } = chart;
    const bar = w.bar(span, over, view);
    place(wait, bar.wait);
    place(run, bar.run);
    const begin = startOf(span);
    const ticks = [
      ...(all.length > 1 ? (chart.path.get(span.id) ?? []).map((part) => ["path", w.stretch(part.from, part.to, over, view), "critical path"]) : []),
      ...stalls.of(span).map((part) => ["stall", w.stretch(begin + part.from, begin + part.to, over, view), `nothing came for ${format.duration(part.to - part.from)}`]),
      ...(span.id === selected ? events.map((ms) => ["event", w.stretch(ms, ms, over, view), "event"]) : []),
    ].filter(([, where]) => where);
    if (ticks.length || marks.childElementCount) put(marks, ticks.map(([cls, where, text]) => place(h("s", { class: cls, title: text }), /** @type {any} */ (where))));
    node.title = span.ttft_ms == null ? format.duration(span.duration_ms) : `${format.duration(span.ttft_ms)} to the first token, ${format.duration(span.duration_ms)} in all`;
  }

  /** @param {{left: number, width: number}|null} where */
  function place(node, where) {
    node.hidden = !where;
    if (where) {
      node.style.left = `${where.left}%`;
      node.style.width = `${where.width}%`;
    }
    return node;
  }

  function rescale() {
    const hidden = w.gaps(all, chart.box);
    chart.over = w.scale(chart.box, chart.isCompressed ? hidden : []);
    chart.amounts = chart.length === "time" ? null : w.amounts(all, (span) => (chart.length === "cost" ? span.estimated_cost : span.total_tokens));
    tools.compress.hidden = !hidden.length || chart.length !== "time";
    setAttr(tools.compress, "aria-pressed", chart.isCompressed ? "true" : "false");
    map.el.hidden = all.length <= MINIMAP_SPANS || chart.length !== "time";
    if (!map.el.hidden) requestAnimationFrame(() => map.draw(all, chart.over)); // the rows come first
    setView(chart.length === "time" ? chart.view : w.WHOLE);
  }

  /** @param {w.Range} view */
  function setView(view) {
    chart.view = view;
    map.show(view);
    drawAxis();
    list.update(rows.length, indexOf(selected));
  }

  function drawAxis() {
    const width = lane.clientWidth || 300;
    if (chart.length !== "time") {
      put(axis, h("span", null, chart.length === "cost" ? `longest bar ${format.cost(chart.amounts.most)}` : `longest bar ${format.compact(chart.amounts.most)} tokens`));
      return;
    }
    const ticks = w.axis(chart.box, chart.over, chart.view, Math.max(1, Math.min(8, Math.floor(width / 66))));
    const breaks = chart.over.breaks.map((gap) => ({ gap, where: { left: ((gap.from - chart.view.from) / (chart.view.to - chart.view.from)) * 100, width: ((gap.to - gap.from) / (chart.view.to - chart.view.from)) * 100 } })).filter(({ where }) => where.left < 99 && where.left + where.width > 1);
    put(axis, ticks.map((tick) => { const node = h("span", null, tickText(tick)); node.style.left = `${tick.percent}%`; return node; }),
      breaks.map(({ gap, where }) => place(h("em", { class: "break", title: `${format.duration(gap.ms)} in which nothing ran` }, h("small", null, format.duration(gap.ms))), where)));
  }

  /** @param {{ms: number, step: number}} tick */
  function tickText({ ms, step }) {
    if (step < 1) return `${Number(ms.toFixed(3))} ms`;
    if (step < 1000) return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(3))} s`;
    return format.duration(ms).replace(/\.0+ /, " ");
  }

  /** @param {number} factor @param {number} [around] */
  function zoom(factor, around) {
    if (chart.length === "time") setView(w.zoom(chart.view, factor, around));
  }

  /** @param {string} id */
  function indexOf(id) {
    const node = list?.nodeOf(id);
    const guess = node ? Number(node.dataset.index) : -1;
    return rows[guess]?.span.id === id ? guess : rows.findIndex((row) => row.span.id === id);
  }

  function refresh() {
    rows = folded.size ? flatten(roots, folded) : all;
    const at = indexOf(selected);
    setAttr(tree, "tabindex", at < 0 ? 0 : -1);
    setAttr(tree, "aria-rowcount", rows.length + 1);
    takeHeight();
    list.update(rows.length, at);
  }

  /** A small tree takes little room, a great one what the panel gives. */
  function takeHeight() {
    tree.style.height = `${(rows.length + 1) * ROW + 2}px`;
  }

  /** @param {number} index @param {Picked["how"]|""} how "" = it was asked for from outside */
  function pick(index, how) {
    const row = rows[index];
    if (!row) return;
    const isNew = selected !== row.span.id;
    if (isNew) {
      selected = row.span.id;
      events = [];
      setAttr(tree, "tabindex", -1);
      list.update(rows.length, index);
    }
    list.reveal(index);
    if (how || tree.contains(document.activeElement)) list.nodeOf(selected)?.focus({ preventScroll: true });
    if (how && isNew) onSelect(row.span, { how });
  }

  /** Show a span wherever it is folded away. @param {string} id @param {Picked["how"]|""} how */
  function goTo(id, how) {
    const at = all.findIndex((row) => row.span.id === id);
    if (at < 0) return;
    const size = folded.size;
    for (let i = all[at].parent; i >= 0; i = all[i].parent) folded.delete(all[i].span.id);
    if (folded.size !== size) refresh();
    pick(indexOf(id), how);
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
    if (indexOf(selected) < 0) pick(0, "jump");
  }

  /** @param {number} by @param {(span: any) => boolean} wanted */
  function jump(by, wanted) {
    const from = all.findIndex((row) => row.span.id === selected);
    const at = nextRow(all, from < 0 && by < 0 ? 0 : from, by, wanted);
    if (at >= 0) goTo(all[at].span.id, "jump");
    return at >= 0;
  }

  const isError = (span) => (span.status ?? 0) >= 400;

  tree.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target);
    const node = target.closest(".row:not(.head)");
    if (!(node instanceof HTMLElement) || zooming.wasDragged()) return;
    const index = Number(node.dataset.index);
    pick(index, "click");
    if (target.closest(".twist") && rows[index]?.children) fold(rows[index].span.id);
  });
  tree.addEventListener("focus", () => { if (indexOf(selected) < 0) pick(0, "key"); });
  tree.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
    const run = keysAt(indexOf(selected))[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  });

  /** @param {number} at @returns {Record<string, () => unknown>} */
  function keysAt(at) {
    const row = rows[at];
    const go = (/** @type {number} */ to) => () => pick(Math.max(0, Math.min(rows.length - 1, to)), "key");
    return {
      ArrowDown: go(at + 1), ArrowUp: go(at - 1), j: go(at + 1), k: go(at - 1), Home: go(0), End: go(rows.length - 1), PageDown: go(at + list.pageSize()), PageUp: go(at - list.pageSize()),
      ArrowRight: () => row?.children && (folded.has(row.span.id) ? fold(row.span.id, false) : pick(at + 1, "key")),
      ArrowLeft: () => row && (row.children && !folded.has(row.span.id) ? fold(row.span.id, true) : row.parent >= 0 && pick(row.parent, "key")),
      Enter: () => row?.children && fold(row.span.id), o: () => foldAll(true), O: () => foldAll(false),
      e: () => jump(1, isError), E: () => jump(-1, isError),
      "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5), 0: () => setView(w.WHOLE),
    };
  }

  const watcher = new ResizeObserver(() => {
    drawAxis();
    tree.style.setProperty("--tree-height", `${tree.clientHeight}px`);
    if (!map.el.hidden) map.draw(all, chart.over);
  });
  watcher.observe(tree);
  rescale();
  refresh();

  return {
    /** @param {string} id */
    select(id) {
      const twin = all.find((row) => row.span.twin?.id === id);
      if (twin) id = joinedId(twin.span.twin);
      if (all.some((row) => row.span.id === id)) goTo(id, "");
    },
    /** The tree was asked for again: fold and selection stay. */
    update(next, known) {
      roots = withTwins(next, known);
      all = rowsOf(next, known);
      chart.box = w.boxOf(all);
      chart.path = w.criticalPath(roots);
      rescale();
      refresh();
    },
    /** @param {ReadonlySet<string>} ids */
    mark(ids) {
      found = ids;
      list.update(rows.length, indexOf(selected));
    },
    /** @param {number} by */
    stepFound: (by) => jump(by, (span) => found.has(span.id)),
    /** @param {number[]} times in ms */
    showEvents(times) {
      events = times;
      list.update(rows.length, indexOf(selected));
    },
    nextError: (/** @type {number} */ by) => jump(by, isError),
    zoom, foldAll,
    fit: () => setView(w.WHOLE),
    destroy() {
      watcher.disconnect();
      map.destroy();
      list.destroy();
    },
  };
}
