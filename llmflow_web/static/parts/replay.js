// @ts-check
/** All turns of a session as one conversation. A turn is asked for when it comes near; what it repeats of the turn before is folded. */
import * as format from "../lib/format.js";
import { shares, speakers, steps, told } from "../lib/replay.js";
import { flatten } from "../lib/tree.js";
import { failure, h, icon, put, setAttr, time } from "./dom.js";
import { cards } from "./messages.js";

const TRIED = 3; // calls of a trace that are asked whether they hold the conversation
const STEPS_SHOWN = 60;

/**
 * @typedef {{messages: {input: any[], output: any[]}, spans: any[], speaker: any}} Told
 * @typedef {{tree: (trace: string) => Promise<any>, detail: (span: string, trace: string) => Promise<any>, address: (trace: string, span?: string) => string, signal: AbortSignal, known: Map<string, Promise<Told>>}} Options
 */

/** @param {HTMLElement} el @param {any[]} traces @param {Options} options */
export function mountReplay(el, traces, options) {
  const strip = timeline(traces, (at) => turns[at]?.node.scrollIntoView({ block: "start" }));
  const turns = traces.map((trace, at) => turn(trace, at, traces, options));
  const list = h("ol", { class: "replay" }, turns.map((one) => one.node));
  el.append(strip, list);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      turns[Number(/** @type {HTMLElement} */ (entry.target).dataset.at)].load();
    }
  }, { rootMargin: "600px" });
  for (const one of turns) watcher.observe(one.node);
  options.signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
}

/** When the turns were, drawn for the eye: the turns themselves follow in order. @param {any[]} traces @param {(at: number) => void} onPick */
function timeline(traces, onPick) {
  const marks = shares(traces.map((one) => ({ from: one.started_at, to: one.ended_at }))).map(({ left, width }, at) => {
    const mark = h("i", { class: traces[at].error_count ? "is-error" : null, title: `Turn ${at + 1}, ${format.clock(traces[at].started_at)}`, onclick: () => onPick(at) });
    mark.style.left = `${left * 100}%`;
    mark.style.width = `${width * 100}%`;
    return mark;
  });
  const ends = [traces[0]?.started_at, traces.at(-1)?.ended_at].map((ms) => h("span", null, format.stamp(ms)));
  return h("div", { class: "mini", "aria-hidden": "true" }, h("div", null, marks), h("p", { class: "muted small" }, ends));
}

/** @param {number} at @param {any[]} traces @param {Options} options */
function turn(trace, at, traces, options) {
  const body = h("div", { class: "turn-body", "aria-busy": "true" });
  const facts = [format.duration(trace.ended_at - trace.started_at), `${format.compact(trace.tokens)} tokens`, format.costSum(trace.cost, trace.unpriced_count), trace.span_count > 1 ? format.plural(trace.span_count, "span") : "", trace.tool_calls ? format.plural(trace.tool_calls, "tool call") : ""];
  const node = h("li", { class: "turn", data: { at }, "aria-label": `Turn ${at + 1}` },
    h("header", null, h("h2", null, h("a", { href: options.address(trace.trace_id) }, `${at + 1}. ${format.visible(trace.name || "call")}`)), trace.error_count ? h("span", { class: "outcome error" }, icon("error"), format.plural(trace.error_count, "error")) : null, h("span", { class: "grow" }),
      h("span", { class: "muted facts-line" }, facts.filter(Boolean).join(" · ")), time(trace.started_at, format.stamp(trace.started_at), format.iso(trace.started_at))), body);

  async function load() {
    try {
      const now = await askTurn(trace, options);
      const before = at > 0 ? await askTurn(traces[at - 1], options).catch(() => null) : null;
      if (options.signal.aborted) return;
      put(body, conversation(now, before, trace, options));
    } catch (error) {
      if (options.signal.aborted) return;
      options.known.delete(keyOf(trace));
      put(body, /** @type {any} */ (error).status === 404 ? h("p", { class: "muted" }, "This trace is no longer stored.") : failure(error, load));
    }
    setAttr(body, "aria-busy", null);
  }
  return { node, load };
}

/** A trace that has grown is another one. */
const keyOf = (/** @type {any} */ trace) => `${trace.trace_id} ${trace.span_count} ${trace.ended_at}`;

/** @param {Options} options @returns {Promise<Told>} */
function askTurn(trace, options) {
  const key = keyOf(trace);
  let coming = options.known.get(key);
  if (!coming) options.known.set(key, coming = find(trace, options));
  return coming;
}

/** @param {Options} options @returns {Promise<Told>} */
async function find(trace, options) {
  const tree = await options.tree(trace.trace_id);
  const spans = flatten(tree.spans, new Set()).map((row) => row.span);
  const candidates = speakers(spans);
  let last = /** @type {any} */ (null);
  for (const span of candidates.slice(0, TRIED)) {
    const detail = await options.detail(span.id, trace.trace_id);
    const messages = { input: detail.messages?.input ?? [], output: detail.messages?.output ?? [] };
    last ??= detail;
    if (messages.input.length || messages.output.length) return { messages, spans, speaker: detail };
  }
  return { messages: { input: [], output: [] }, spans, speaker: last };
}

/** @param {Told} now @param {Told|null} before @param {Options} options */
function conversation({ messages, spans, speaker }, before, trace, options) {
  const old = told(before ? [...before.messages.input, ...before.messages.output] : [], messages.input);
  const shown = cards([...messages.input.slice(old), ...messages.output]).filter(Boolean);
  const done = steps(spans);
  const error = speaker?.trace.error;
  return [
    old ? h("details", { class: "earlier" }, h("summary", null, `${format.plural(old, "earlier message")} of this conversation`), lazily(() => cards(messages.input.slice(0, old)))) : null,
    shown.length ? shown : h("p", { class: "muted" }, trace.preview_in ? h("span", { dir: "auto" }, trace.preview_in) : "What was said was not recorded."),
    error ? h("p", { class: "refusal" }, icon("error"), h("span", null, `Error ${speaker.trace.status ?? ""}: ${format.head(String(error), 500)}`)) : null,
    done.length ? stepsNode(done, !shown.length && done.length <= 12, trace, options) : null,
  ];
}

/** A box that is filled when the details around it are opened. @param {() => any} build */
function lazily(build) {
  const box = h("div", { class: "earlier-body" });
  setTimeout(() => box.parentElement?.addEventListener("toggle", () => put(box, build()), { once: true }));
  return box;
}

/** @param {any[]} done @param {boolean} isOpen @param {Options} options */
function stepsNode(done, isOpen, trace, options) {
  const lines = done.slice(0, STEPS_SHOWN).map((span) => h("li", null, icon("tool"), h("a", { href: options.address(trace.trace_id, span.id) }, format.visible(span.span_name || span.span_type)),
    h("span", { class: "muted" }, format.duration(span.duration_ms)), (span.status ?? 0) >= 400 ? h("span", { class: "outcome error" }, icon("error"), String(span.status)) : null));
  const rest = done.length - lines.length;
  return h("details", { class: "line", open: isOpen }, h("summary", null, h("strong", null, format.plural(done.length, "step")), h("span", { class: "muted" }, ` ${names(done)}`)),
    h("ol", { class: "steps" }, lines, rest > 0 ? h("li", null, h("a", { href: options.address(trace.trace_id) }, `${format.count(rest)} more in the trace`)) : null));
}

/** "Bash ×3, Read" @param {any[]} done */
function names(done) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const span of done) counts.set(span.span_name || span.span_type, (counts.get(span.span_name || span.span_type) ?? 0) + 1);
  return [...counts].slice(0, 6).map(([name, n]) => `${format.head(format.visible(name), 30)}${n > 1 ? ` ×${n}` : ""}`).join(", ") + (counts.size > 6 ? " …" : "");
}
