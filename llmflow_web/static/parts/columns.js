// @ts-check
/** The columns of the traces list: one small function per cell. */
import * as format from "../lib/format.js";
import { givenName, outcome, title } from "../lib/outcome.js";
import { h, icon, put, setAttr, setText } from "./dom.js";

/** @param {any} row what the row's whole trace comes to */
function sums(row) {
  const isMany = (row.span_count ?? 1) > 1;
  return { tokens: isMany ? row.trace_tokens : row.total_tokens, cost: isMany ? row.trace_cost : row.estimated_cost, unknown: isMany ? row.trace_unpriced : 0, isMany };
}

/** @type {import("./grid.js").Column[]} */
export const COLUMNS = [
  { key: "status", label: "Status", render(cell, row) {
    const state = outcome(row);
    const mark = state.kind + state.word;
    if (cell.dataset.mark === mark) return;
    cell.dataset.mark = mark;
    put(cell, h("span", { class: `outcome ${state.kind}`, title: row.error ?? state.label }, icon(state.icon), state.word));
  } },
  { key: "time", label: "Time", sort: "time", render(cell, row) {
    if (!cell.firstChild) cell.append(h("time", null));
    const time = /** @type {Element} */ (cell.firstChild);
    setAttr(time, "datetime", format.iso(row.timestamp));
    setAttr(time, "title", format.iso(row.timestamp));
    setText(time, format.ago(row.timestamp, Date.now()));
  } },
  { key: "name", label: "Name", render(cell, row) {
    if (!cell.firstChild) cell.append(h("b", null), h("span", null));
    // an unnamed chat is best known by what was asked; its model has a column of its own
    const text = row.error && (row.status ?? 0) >= 400 ? row.error : (row.preview_in ?? "");
    const name = givenName(row) ?? (row.operation === "chat" && text ? "" : row.operation || title(row));
    setText(cell.children[0], name);
    setText(cell.children[1], text);
    cell.classList.toggle("is-plain", !name);
    setAttr(cell, "title", row.preview_in);
  } },
  { key: "model", label: "Model", render: (cell, row) => {
    setText(cell, row.model ?? row.request_model ?? format.NONE);
    setAttr(cell, "title", row.model);
  } },
  { key: "provider", label: "Provider", render: (cell, row) => setText(cell, row.provider ?? format.NONE) },
  { key: "duration", label: "Duration", cls: "num", sort: "duration", render: (cell, row) => setText(cell, format.duration(row.duration_ms)) },
  { key: "ttft", label: "TTFT", cls: "num", title: "Time to first token", render: (cell, row) => setText(cell, row.ttft_ms == null || !row.is_stream ? format.NONE : format.duration(row.ttft_ms)) },
  { key: "tokens", label: "Tokens", cls: "num", sort: "tokens", render(cell, row) {
    const { tokens, isMany } = sums(row);
    const known = isMany ? tokens : row.prompt_tokens ?? row.completion_tokens;
    const text = known == null ? format.NONE : isMany ? format.compact(tokens) : `${format.compact(row.prompt_tokens ?? 0)} → ${format.compact(row.completion_tokens ?? 0)}`;
    setText(cell, row.is_estimated && known != null ? `~${text}` : text);
    setAttr(cell, "title", known == null ? null : isMany ? `${format.count(tokens)} in all spans` : `${format.count(row.prompt_tokens)} in, ${format.count(row.completion_tokens)} out${row.is_estimated ? ", estimated" : ""}`);
  } },
  { key: "cost", label: "Cost", cls: "num", sort: "cost", render(cell, row) {
    const { cost, unknown } = sums(row);
    setText(cell, format.costSum(cost, unknown));
    setAttr(cell, "title", cost == null ? "unknown price" : unknown ? `${format.costExact(cost)} and ${format.plural(unknown, "call")} of unknown price` : format.costExact(cost));
  } },
  { key: "spans", label: "Spans", cls: "num", render: (cell, row) => setText(cell, format.count(row.span_count ?? 1)) },
  { key: "source", label: "Source", render: (cell, row) => setText(cell, row.source ?? "") },
  { key: "tags", label: "Tags", render(cell, row) {
    const tags = row.tags ?? [];
    if (cell.dataset.mark === tags.join("\n")) return;
    cell.dataset.mark = tags.join("\n");
    put(cell, tags.map((tag) => h("span", { class: "tag" }, tag)));
    setAttr(cell, "title", tags.join(", "));
  } },
];
