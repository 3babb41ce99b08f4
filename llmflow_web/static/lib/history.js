// @ts-check
/** What a call repeats of the call before it, and which tool span belongs to which tool call. Pure. */
import { startOf } from "./tree.js";

/** @typedef {import("./tree.js").Span} Span */
/** @typedef {{role: string, parts?: any[], name?: string, [key: string]: any}} Message */

/** A message's words as one text: how two calls tell the same thing may differ in what is not said. @param {Message} message */
function words(message) {
  const parts = (message.parts ?? []).filter((part) => part.type !== "reasoning" && !(part.type === "text" && !part.text));
  return JSON.stringify([message.role, message.name ?? "", parts.map((part) => (part.type === "tool_call" ? { ...part, arguments: canonical(part.arguments) } : part))]);
}

/** Arguments that were only written anew are the same. @param {unknown} given */
function canonical(given) {
  if (typeof given !== "string") return given;
  try {
    return JSON.parse(given);
  } catch {
    return given;
  }
}

/** How many of the first messages of `now` the call before had already, asked or answered. @param {Message[]} before its input and output @param {Message[]} now */
export function unchanged(before, now) {
  let same = 0;
  while (same < before.length && same < now.length && words(before[same]) === words(now[same])) same += 1;
  return same;
}

/** The call to a model that began last before this one ended anything: its messages may be the beginning of ours. @param {Span[]} spans all of the trace @param {string} id @returns {Span|null} */
export function callBefore(spans, id) {
  const calls = spans.filter((span) => span.span_type === "llm" && !span.joined_to).sort((a, b) => startOf(a) - startOf(b));
  const at = calls.findIndex((span) => span.id === id);
  return at > 0 ? calls[at - 1] : null;
}

/**
 * The tool span of each tool call of a conversation, by call id. Calls already answered in the input ran before this call,
 * the latest last; those of the answer run after it.
 * @param {{id?: string, name: string, isAnswer: boolean}[]} calls in the order of the messages @param {Span[]} spans all of the trace @param {Span} call
 * @returns {Map<string, Span>}
 */
export function toolSpans(calls, spans, call) {
  const tools = spans.filter((span) => span.span_type === "tool").sort((a, b) => startOf(a) - startOf(b));
  const begin = startOf(call);
  const before = tools.filter((span) => startOf(span) < begin);
  const after = tools.filter((span) => startOf(span) >= begin);
  /** @type {Map<string, Span>} */
  const found = new Map();
  const take = (/** @type {Span[]} */ list, /** @type {{id?: string, name: string}} */ one) => {
    const at = list.findIndex((span) => isOf(span, one.name));
    if (at >= 0 && one.id) found.set(one.id, list.splice(at, 1)[0]);
  };
  before.reverse();
  for (const one of calls.filter((c) => !c.isAnswer).reverse()) take(before, one);
  for (const one of calls.filter((c) => c.isAnswer)) take(after, one);
  return found;
}

/** @param {Span} span @param {string} name */
function isOf(span, name) {
  const title = span.span_name ?? "";
  return title === name || title.endsWith(` ${name}`) || title.endsWith(`.${name}`);
}
