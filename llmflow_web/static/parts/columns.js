// @ts-check
/** The columns of the traces list: one small function per cell, and which of them fit. */
import { term } from "../lib/filter.js";
import * as format from "../lib/figures.js";
import { givenName, outcome, title } from "../lib/outcome.js";
import { h, icon, put, setAttr, setText } from "./nodes.js";

/** @typedef {import("./grid.js").Column & {width: number, narrow?: number, most?: number, rank: number}} TraceColumn
 * `width` in pixels, up to `most` where there is much room; `rank`: the highest goes first where there is no room, that of MORE is shown only when chosen */

const NARROW = 480;
const WIDE = 1000;
const GAP = 10;
const EDGE = 20;

/** @param {any} row what the row's whole trace comes to */
function sums(row) {
  const isMany = (row.span_count ?? 1) > 1;
  return { tokens: isMany ? row.trace_tokens : row.total_tokens, cost: isMany ? row.trace_cost : row.estimated_cost, unknown: isMany ? row.trace_unpriced : 0, isMany };
}

/** How long it has run by now. @param {any} row */
export function elapsed(row) {
  return row.running ? (row.duration_ms ?? 0) + Math.max(0, Date.now() - (row.seen ?? Date.now())) : row.duration_ms;
}

/** A cell with one value that can be filtered by. @param {string} field @param {(row: any) => string|null|undefined} value */
export const plain = (field, value) => (/** @type {HTMLElement} */ cell, /** @type {any} */ row) => {
  const text = value(row);
  setText(cell, text || format.NONE);
  setAttr(cell, "title", text);
  setAttr(cell, "data-term", text ? term(field, text) : null);
};

/** @type {TraceColumn[]} */
export const COLUMNS = [
  { key: "mark", label: "Select", width: 18, rank: 0, render(cell, row) {
    if (!cell.firstChild) cell.append(h("input", { type: "checkbox", tabindex: -1 }));
    const box = /** @type {HTMLInputElement} */ (cell.firstChild);
    box.checked = cell.parentElement?.getAttribute("aria-selected") === "true";
    setAttr(box, "aria-label", `Select ${title(row)}`);
  } },
  { key: "status", label: "Status", width: 72, narrow: 68, rank: 0, render(cell, row) {
    const state = outcome(row);
    const mark = state.kind + state.word;
    if (cell.dataset.mark === mark) return;
    cell.dataset.mark = mark;
    setAttr(cell, "data-term", row.running ? null : `status:${(row.status ?? 0) >= 400 ? row.status : "ok"}`);
    put(cell, h("span", { class: `outcome ${state.kind}`, title: row.error ?? state.label }, icon(state.icon), state.word));
  } },
  { key: "time", label: "Time", sort: "time", width: 54, narrow: 34, rank: 1, render(cell, row) {
    if (!cell.firstChild) cell.append(h("time", null));
    const time = /** @type {Element} */ (cell.firstChild);
    setAttr(time, "datetime", format.iso(row.timestamp));
    setAttr(time, "title", format.iso(row.timestamp));
    setText(time, format.ago(row.timestamp, Date.now()));
  } },
  { key: "name", label: "Name", width: 130, narrow: 72, rank: 0, render(cell, row) {
    if (!cell.firstChild) cell.append(h("b", null), h("span", null));
    // an unnamed chat is best known by what was asked; its model has a column of its own
    const text = row.error && (row.status ?? 0) >= 400 ? row.error : (row.preview_in ?? "");
    const name = givenName(row) ?? (row.operation === "chat" && text ? "" : row.operation || title(row));
    setText(cell.children[0], name);
    setText(cell.children[1], text);
    cell.classList.toggle("is-plain", !name);
    setAttr(cell, "title", row.preview_in);
    setAttr(cell, "data-term", name && row.span_name ? term("name", row.span_name) : null);
  } },
  { key: "model", label: "Model", width: 120, most: 170, narrow: 100, rank: 5, render: plain("model", (row) => row.model ?? row.request_model) },
  { key: "provider", label: "Provider", width: 84, rank: 10, render: plain("provider", (row) => row.provider) },
  { key: "duration", label: "Duration", cls: "num", sort: "duration", width: 70, narrow: 56, rank: 2, render: (cell, row) => setText(cell, format.duration(elapsed(row))) },
  { key: "ttft", label: "TTFT", cls: "num", title: "Time to first token", width: 60, rank: 9, render: (cell, row) => setText(cell, row.ttft_ms == null || !row.is_stream ? format.NONE : format.duration(row.ttft_ms)) },
  { key: "tokens", label: "Tokens", cls: "num", sort: "tokens", width: 96, rank: 6, render(cell, row) {
    const { tokens, isMany } = sums(row);
    const known = isMany ? tokens : row.prompt_tokens ?? row.completion_tokens;
    const text = known == null ? format.NONE : isMany ? format.compact(tokens) : `${format.compact(row.prompt_tokens ?? 0)} → ${format.compact(row.completion_tokens ?? 0)}`;
    setText(cell, row.is_estimated && known != null ? `~${text}` : text);
    setAttr(cell, "title", known == null ? null : isMany ? `${format.count(tokens)} in all spans` : `${format.count(row.prompt_tokens)} in, ${format.count(row.completion_tokens)} out${row.is_estimated ? ", estimated" : ""}`);
  } },
  { key: "cost", label: "Cost", cls: "num", sort: "cost", width: 76, narrow: 70, rank: 3, render(cell, row) {
    const { cost, unknown } = sums(row);
    setText(cell, format.costSum(cost, unknown));
    setAttr(cell, "title", row.running ? null : cost == null ? "unknown price" : unknown ? `${format.costExact(cost)} and ${format.plural(unknown, "call")} of unknown price` : format.costExact(cost));
  } },
  { key: "spans", label: "Spans", cls: "num", width: 44, rank: 8, render: (cell, row) => setText(cell, format.count(row.span_count ?? 1)) },
  { key: "source", label: "Source", width: 76, rank: 11, render: plain("source", (row) => row.source) },
  { key: "tags", label: "Tags", width: 120, rank: 12, render(cell, row) {
    const tags = row.tags ?? [];
    if (cell.dataset.mark === tags.join("\n")) return;
    cell.dataset.mark = tags.join("\n");
    put(cell, tags.map((tag) => h("span", { class: "tag", "data-term": term("tag", tag) }, tag)));
    setAttr(cell, "title", tags.join(", "));
  } },
];

/** @param {TraceColumn} column @param {boolean} isNarrow */
const widthOf = (column, isNarrow) => (isNarrow ? (column.narrow ?? column.width) : column.width);

/**
 * The columns that are shown: those that were chosen, else as many as there is room for.
 * @param {number} room in pixels @param {string} chosen keys, by comma @param {TraceColumn[]} [all] @returns {{columns: TraceColumn[], template: string, least: number}}
 */
export function fit(room, chosen, all = COLUMNS) {
  const isNarrow = room < NARROW;
  const keys = chosen.split(",");
  let columns = chosen ? all.filter((column) => column.key === "mark" || keys.includes(column.key)) : COLUMNS;
  const least = () => columns.reduce((sum, column) => sum + widthOf(column, isNarrow) + GAP, EDGE - GAP);
  while (!chosen && least() > room && columns.some((column) => column.rank)) {
    const worst = Math.max(...columns.map((column) => column.rank));
    columns = columns.filter((column) => column.rank !== worst);
  }
  const template = columns.map((column) => `minmax(${widthOf(column, isNarrow)}px, ${column.key === "name" ? "1fr" : `${(room >= WIDE && column.most) || widthOf(column, isNarrow)}px`})`).join(" ");
  return { columns, template, least: chosen ? least() : 0 };
}
