// @ts-check
/** The answer of /api/diff as words: figures with what became of them, rows worth showing, long stretches of the same folded. Pure. */
import * as format from "./format.js";

const NAMES = /** @type {Record<string, string>} */ ({
  duration_ms: "Duration", ttft_ms: "Time to first token", prompt_tokens: "Prompt tokens", cached_tokens: "of them cached", cache_write_tokens: "of them written to cache",
  completion_tokens: "Completion tokens", reasoning_tokens: "of them reasoning", total_tokens: "Total tokens", estimated_cost: "Cost",
  trace_duration_ms: "Whole trace", trace_tokens: "Tokens of the trace", trace_cost: "Cost of the trace", span_count: "Spans", error_count: "Errors",
});

/** @typedef {{name: string, unit: string, a: number|null, b: number|null, delta: number|null, ratio: number|null}} Delta */

/** @param {string} unit @param {number|null} value */
export function figure(unit, value) {
  if (unit === "ms") return format.duration(value);
  if (unit === "USD") return format.cost(value);
  return format.count(value);
}

/** A difference with its sign: −1.2 s, +300. @param {string} unit @param {number|null} delta */
export function signed(unit, delta) {
  if (delta == null) return format.NONE;
  if (delta === 0) return "same";
  return `${delta > 0 ? "+" : "−"}${figure(unit, Math.abs(delta))}`;
}

/** @param {number|null} ratio b / a */
export function change(ratio) {
  if (ratio == null || !Number.isFinite(ratio) || ratio === 1) return "";
  if (ratio >= 10) return `× ${format.compact(ratio)}`;
  const percent = (ratio - 1) * 100;
  const text = Math.abs(percent) >= 10 ? Math.round(Math.abs(percent)) : Math.abs(percent).toFixed(1);
  return `${percent > 0 ? "+" : "−"}${text}%`;
}

/** What is shown of a figure; less is better with all of them. @param {Delta} one */
export function deltaRow(one) {
  return { name: NAMES[one.name] ?? one.name, a: figure(one.unit, one.a), b: figure(one.unit, one.b), delta: signed(one.unit, one.delta), change: change(one.ratio), isPart: (NAMES[one.name] ?? "").startsWith("of "), direction: Math.sign(one.delta ?? 0) };
}

/** Figures of which neither side knows anything say nothing. @param {Delta[]} deltas */
export function known(deltas) {
  return deltas.filter((one) => one.a != null || one.b != null);
}

/**
 * Rows with what is the same put together where at least `least` stand in a row.
 * @template {{change: string}} R @param {R[]} rows @param {number} [least] @returns {(R|R[])[]}
 */
export function folded(rows, least = 3) {
  /** @type {(R|R[])[]} */
  const list = [];
  for (let at = 0; at < rows.length;) {
    let end = at;
    while (end < rows.length && rows[end].change === "same") end += 1;
    if (end - at >= least) list.push(rows.slice(at, end));
    else if (end > at) list.push(...rows.slice(at, end));
    else list.push(rows[end++]);
    at = end;
  }
  return list;
}

/** How often each kind of change occurs, in words. @param {{change: string}[]} rows */
export function tally(rows) {
  const count = (/** @type {string} */ kind) => rows.filter((row) => row.change === kind).length;
  const parts = ["changed", "added", "removed"].map((kind) => [count(kind), kind]).filter(([n]) => n).map(([n, kind]) => `${n} ${kind}`);
  return parts.length ? parts.join(", ") : "all the same";
}
