// @ts-check
/** A session told again: which call of a trace holds what was said, and what of it is new since the trace before. Pure. */
import { unchanged } from "./history.js";
import { startOf } from "./tree.js";

/** @typedef {import("./tree.js").Span} Span */
/** @typedef {import("./history.js").Message} Message */

/** The calls of a trace that may hold its conversation, the likeliest first: models before agents, the last before the first. @param {Span[]} spans @returns {Span[]} */
export function speakers(spans) {
  const rank = (/** @type {Span} */ span) => (span.span_type === "llm" ? 0 : span.parent_id ? 2 : 1);
  return spans.filter((span) => !span.joined_to && ["llm", "agent", "chain", "trace"].includes(String(span.span_type ?? "llm")))
    .sort((a, b) => rank(a) - rank(b) || startOf(b) - startOf(a));
}

/** What was done beside talking. @param {Span[]} spans @returns {Span[]} */
export function steps(spans) {
  return spans.filter((span) => !span.joined_to && ["tool", "retrieval", "rerank", "embedding", "guardrail"].includes(String(span.span_type))).sort((a, b) => startOf(a) - startOf(b));
}

/**
 * How many of the first messages of this turn were told before: those the turn before had already, else all before the last
 * that a user said.
 * @param {Message[]} before input and output of the turn before @param {Message[]} input
 */
export function told(before, input) {
  const same = unchanged(before, input);
  if (!before.length) return 0;
  const asked = input.findLastIndex((message) => message.role === "user");
  return Math.max(same, asked);
}

/**
 * Where each span of time lies within the whole, as shares of it. @param {{from: number, to: number}[]} spans @returns {{left: number, width: number}[]}
 */
export function shares(spans) {
  const first = Math.min(...spans.map((span) => span.from));
  const whole = Math.max(1, Math.max(...spans.map((span) => span.to)) - first);
  return spans.map(({ from, to }) => ({ left: (from - first) / whole, width: Math.max(0, to - from) / whole }));
}
