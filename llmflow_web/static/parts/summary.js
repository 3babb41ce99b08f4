// @ts-check
/** The head of a trace that stays in sight: what it was, how it ended, how long, how much, who and where. */
import * as format from "../lib/format.js";
import { outcome, statusWord, title } from "../lib/outcome.js";
import { joinedId } from "../lib/tree.js";
import { copyButton, h, icon, iconButton, put, setAttr, setText, time } from "./dom.js";

/**
 * @typedef {{detail: any, tree: any, twin: any, isMany: boolean, menu: any, addressOf: (span: string) => string, list: {close: () => void, step: (by: number) => void}, now: () => number}} Shown
 */

/** @param {HTMLElement} el @param {Shown} shown */
export function showSummary(el, shown) {
  const { detail: { trace }, isMany } = shown;
  const state = outcome({ ...trace, error_count: isMany && !trace.parent_id ? trace.error_count : 0 });
  const bill = h("div", { class: "bill-box", id: "bill", hidden: true });
  put(el,
    h("div", { class: "line1" }, backButton(shown.list.close), h("span", { class: `outcome ${state.kind}`, title: state.label }, icon(state.icon), state.word),
      h("h1", { title: title(trace), tabindex: -1 }, title(trace)), state.kind === "error" ? h("span", { class: "pill is-warn" }, statusWord(trace.status)) : null, h("span", { class: "grow" }),
      iconButton("prev", "Previous trace ([)", () => shown.list.step(-1)), iconButton("next", "Next trace (])", () => shown.list.step(1)), shown.menu, iconButton("close", "Close (Esc)", shown.list.close, { class: "ghost close" })),
    h("dl", { class: "facts" }, facts(shown, bill).map(([name, value, cls]) => h("div", { class: cls }, h("dt", null, name), h("dd", null, value)))),
    bill, whole(shown), ids(shown), notes(trace));
}

/** @param {() => void} close */
export function backButton(close) {
  return h("button", { type: "button", class: "ghost only-narrow", "aria-label": "Back to the list", onclick: close }, icon("back"));
}

/** @param {Shown} shown @param {HTMLElement} bill @returns {[string, any, string?][]} */
function facts({ detail: { trace }, tree, isMany, now }, bill) {
  if (isMany && tree?.trace && isFrame(trace)) return wholeFacts(trace, tree.trace, now());
  const speed = format.tokensPerSecond(trace);
  const isCall = Boolean(trace.model || trace.estimated_cost || trace.total_tokens);
  const length = trace.running ? `${format.duration(now() - trace.timestamp)} so far` : format.duration(trace.duration_ms);
  /** @type {[string, any, string?][]} */
  const all = [
    ["Duration", h("span", { class: "took-so-far" }, length)],
    ["Cost", isCall && costFact(trace, bill)],
    ["Tokens in → out", isCall && tokens(trace)],
    ["TTFT", trace.ttft_ms == null || !trace.is_stream ? null : format.duration(trace.ttft_ms)],
    ["Speed", speed === null ? null : [format.rate(speed), h("small", null, " tok/s")]],
    ["Model", model(trace)],
    ["Provider", trace.provider && h("span", { data: { field: "provider", value: trace.provider } }, format.visible(trace.provider))],
  ];
  return all.filter(([, value]) => value != null && value !== "" && value !== false);
}

/** A root that only holds others: what counts is the whole trace. */
function isFrame(trace) {
  return !trace.parent_id && !trace.model && !trace.total_tokens;
}

/** @param {number} now @returns {[string, any, string?][]} */
function wholeFacts(trace, sum, now) {
  /** @type {[string, any, string?][]} */
  const all = [
    ["Duration", h("span", { class: "took-so-far" }, trace.running ? `${format.duration(now - trace.timestamp)} so far` : format.duration(sum.duration_ms))],
    ["Cost", h("span", { title: "of the whole trace" }, format.costSum(sum.total_cost, sum.unpriced_count))], ["Tokens", format.count(sum.total_tokens)], ["Spans", format.count(sum.span_count)],
    ["Errors", sum.error_count ? h("span", { class: "is-danger" }, format.count(sum.error_count)) : null], ["Agent", trace.agent_name && format.visible(trace.agent_name)],
  ];
  return all.filter(([, value]) => value != null && value !== "");
}

/** @param {HTMLElement} bill */
function costFact(trace, bill) {
  const known = trace.estimated_cost == null ? "unknown price" : format.costExact(trace.estimated_cost);
  const button = h("button", { type: "button", class: "fact-button", "aria-expanded": "false", "aria-controls": "bill", title: `${known}. Show how it adds up`, onclick: async () => {
    const isOpen = bill.hidden;
    if (isOpen && !bill.childElementCount) bill.append((await import("./bill.js")).bill(trace));
    bill.hidden = !isOpen;
    setAttr(button, "aria-expanded", isOpen ? "true" : "false");
  } }, format.cost(trace.estimated_cost), icon("fold"));
  return button;
}

function tokens(trace) {
  if (trace.prompt_tokens == null && trace.completion_tokens == null) return null;
  const mark = trace.is_estimated ? "~" : "";
  const more = [trace.cached_tokens && `${format.count(trace.cached_tokens)} cached`, trace.cache_write_tokens && `${format.count(trace.cache_write_tokens)} cache write`, trace.reasoning_tokens && `${format.count(trace.reasoning_tokens)} reasoning`, trace.is_estimated && "estimated"].filter(Boolean).join(", ");
  return [`${mark}${format.count(trace.prompt_tokens ?? 0)} → ${mark}${format.count(trace.completion_tokens ?? 0)}`, more ? h("small", null, ` ${more}`) : null];
}

function model(trace) {
  const name = trace.model ?? trace.request_model;
  if (!name) return null;
  const asked = trace.request_model && trace.model && trace.request_model !== trace.model ? h("small", { title: "asked for" }, ` for ${format.visible(trace.request_model)}`) : null;
  return [h("span", { data: { field: "model", value: name } }, format.visible(name)), asked];
}

/** @param {Shown} shown */
function whole({ detail: { trace }, tree, isMany }) {
  const sum = tree?.trace;
  if (!isMany || !sum || isFrame(trace)) return null;
  return h("div", { class: "ids whole" }, h("span", null, `Whole trace: ${format.plural(sum.span_count, "span")} · ${format.duration(sum.duration_ms)} · ${format.compact(sum.total_tokens)} tokens · ${format.costSum(sum.total_cost, sum.unpriced_count)}`,
    sum.error_count ? ` · ${format.plural(sum.error_count, "error")}` : ""));
}

/** @param {Shown} shown */
function ids({ detail: { trace }, twin, addressOf }) {
  const link = (/** @type {string} */ name, /** @type {string|null} */ value, /** @type {string} */ href) => value && h("span", null, `${name} `, h("a", { href, data: { field: name, value } }, format.visible(value)));
  const listed = (/** @type {string} */ field, /** @type {string} */ value) => `/traces?${new URLSearchParams({ [field]: value })}`;
  return h("div", { class: "ids" }, h("span", null, time(trace.timestamp, format.stamp(trace.timestamp), format.iso(trace.timestamp))),
    idOf("trace", trace.trace_id), trace.id !== trace.trace_id ? idOf("span", trace.id) : null,
    link("session", trace.session_id, `/sessions/${encodeURIComponent(trace.session_id)}`), link("user", trace.user_id, listed("user", trace.user_id)),
    link("prompt", trace.prompt_name ?? trace.prompt_key, `/prompts/${encodeURIComponent(trace.prompt_name ?? trace.prompt_key)}`),
    trace.service_name ? h("span", { data: { field: "service", value: trace.service_name } }, `service ${format.visible(trace.service_name)}`) : null,
    trace.replay_of ? h("span", null, "replay of ", h("a", { href: `/traces/${encodeURIComponent(trace.replay_of)}` }, short(trace.replay_of))) : null,
    joined(trace, twin, addressOf),
    (trace.tags ?? []).map((tag) => h("a", { class: "tag", href: listed("tag", tag), data: { field: "tag", value: tag } }, format.visible(tag))));
}

/** The same call, told by the application as well. @param {any} twin @param {(span: string) => string} addressOf */
function joined(trace, twin, addressOf) {
  if (twin) return h("span", null, "joined with the application's span ", h("a", { href: addressOf(twin.id) }, title(twin)));
  if (trace.joined_to) return h("span", null, "the application's side of ", h("a", { href: addressOf(joinedId(trace)) }, "this call"), ", counted there");
  return null;
}

/** @param {string} name @param {string} id */
function idOf(name, id) {
  return h("span", { class: "mono", title: format.visible(id) }, `${name} ${short(id)}`, copyButton(() => id, `Copy ${name} id`));
}

/** @param {string} id */
export function short(id) {
  const text = format.visible(id ?? "");
  return text.length > 16 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

function notes(trace) {
  const all = [...(trace.notes ?? []), ...(trace.dropped ?? []).map((what) => `dropped: ${what}`)];
  return all.length ? h("ul", { class: "notes", "aria-label": "Notes" }, all.map((note) => h("li", null, format.visible(note)))) : null;
}

/** A running call grows older. @param {HTMLElement} el @param {number} now */
export function tick(el, trace, now) {
  const node = el.querySelector(".took-so-far");
  if (trace.running && node) setText(node, `${format.duration(now - trace.timestamp)} so far`);
}
