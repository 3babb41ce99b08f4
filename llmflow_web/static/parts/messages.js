// @ts-check
/** A conversation as cards: who said what, tool calls with their results, everything long or already told folded. */
import { compact, count, duration, head, visible } from "../lib/format.js";
import { toolSpans, unchanged } from "../lib/history.js";
import { looksMarkdown } from "../lib/markdown.js";
import { copyButton, h, icon, put, setAttr } from "./dom.js";
import { asText, jsonBlock, jsonTree, longText } from "./json.js";
import { LONG_JSON, longJson } from "./longjson.js";
import { markdown } from "./markdown.js";
import { media } from "./media.js";

const SYSTEM_CHARS = 250;
const LONG_CHARS = 20_000;
const LEAST_HISTORY = 2; // one message told again is not worth a fold
const BUILT_AHEAD = 60; // earlier messages up to this many are built folded, so that a search finds them
const MODES = [["markdown", "Markdown"], ["plain", "Plain"], ["json", "JSON"]];
const MODE_KEY = "llmflow-messages";

/**
 * @typedef {{role: string, parts: any[], name?: string, tool_call_id?: string, finish_reason?: string}} Message
 * @typedef {{spans?: any[], before?: () => Promise<Message[]>, onSpan?: (span: any) => void}} Around the trace a call stands in
 * @typedef {{mode: string, results: Map<string, any>, nested: Set<string>, tools: Map<string, any>, names: Map<string, string>, onSpan?: (span: any) => void}} Context
 */

/** @param {HTMLElement} el @param {any} detail answer of /api/traces/{id} @param {Around} [around] */
export function mountMessages(el, detail, around = {}) {
  const body = h("div", { class: "messages" });
  const modes = h("div", { class: "segments", role: "group", "aria-label": "Show messages as" }, MODES.map(([id, label]) => h("button", {
    type: "button", data: { mode: id }, onclick: () => { keepMode(id); show(); },
  }, label)));
  el.append(h("div", { class: "panel-tools" }, modes), body);
  /** @type {Message[]|null} */
  let before = null;
  const asks = around.before && (detail.messages?.input?.length ?? 0) > LEAST_HISTORY;

  function show() {
    const mode = chosenMode();
    for (const button of modes.children) setAttr(button, "aria-pressed", button.dataset.mode === mode ? "true" : "false");
    put(body, mode === "json" ? jsonBlock(detail.messages ?? { input: detail.input, output: detail.output }, "messages", { open: 4 }) : conversation(detail, mode, before ?? [], around));
  }
  if (!asks) return show();
  body.setAttribute("aria-busy", "true");
  around.before?.().catch(() => []).then((found) => {
    before = found;
    body.removeAttribute("aria-busy");
    show();
  });
  return undefined;
}

function chosenMode() {
  try {
    return sessionStorage.getItem(MODE_KEY) ?? "markdown";
  } catch {
    return "markdown";
  }
}

/** @param {string} mode */
function keepMode(mode) {
  try {
    sessionStorage.setItem(MODE_KEY, mode);
  } catch { /* private mode: this once only */ }
}

/** @param {string} mode @param {Message[]} before @param {Around} around */
function conversation(detail, mode, before, around) {
  const input = /** @type {Message[]} */ (detail.messages?.input ?? []);
  const output = /** @type {Message[]} */ (detail.messages?.output ?? []);
  const request = objectOf(detail.request?.body);
  const same = unchanged(before, input);
  const fold = same >= LEAST_HISTORY ? same : 0;
  const context = contextOf(input, output, fold, mode);
  context.onSpan = around.onSpan;
  if (around.spans && detail.trace) context.tools = toolSpans(callsOf(input, output), around.spans, detail.trace);
  return [
    tools(detail.messages?.tools ?? request.tools ?? request.functions),
    parameters(request),
    fold ? earlier(input.slice(0, fold), context) : null,
    input.slice(fold).map((message) => card(message, context)),
    output.map((message) => card(message, context, true)),
    detail.trace?.error ? errorCard(detail.trace) : null, // after what had come before it
    input.length || output.length ? null : plainValues(detail),
  ];
}

/** The cards of these messages alone, for a screen that tells several calls. @param {Message[]} messages @param {string} [mode] */
export function cards(messages, mode = "markdown") {
  const context = contextOf(messages, [], 0, mode);
  return messages.map((message) => card(message, context));
}

/** @param {Message[]} input @param {Message[]} output @param {number} fold @param {string} mode @returns {Context} */
function contextOf(input, output, fold, mode) {
  const all = [...input, ...output];
  /** @type {Context} */
  const context = { mode, results: new Map(), nested: new Set(), tools: new Map(), names: new Map() };
  /** @type {Map<string, boolean>} */
  const asked = new Map();
  all.forEach((message, i) => {
    for (const part of message.parts ?? []) {
      if (!part.id) continue;
      if (part.type === "tool_call") {
        asked.set(part.id, i < fold);
        context.names.set(part.id, part.name);
      } else if (part.type === "tool_result") {
        context.results.set(part.id, part);
        if (asked.get(part.id) === i < fold) context.nested.add(part.id); // a result must not vanish into the folded part
      }
    }
  });
  return context;
}

/** @param {Message[]} input @param {Message[]} output */
function callsOf(input, output) {
  const of = (/** @type {Message[]} */ list, /** @type {boolean} */ isAnswer) => list.flatMap((message) => (message.parts ?? []).filter((part) => part.type === "tool_call").map((part) => ({ id: part.id, name: part.name, isAnswer })));
  return [...of(input, false), ...of(output, true)];
}

/** @param {Message[]} messages @param {Context} context */
function earlier(messages, context) {
  const box = h("div", { class: "earlier-body" });
  const details = h("details", { class: "earlier" }, h("summary", null, `${count(messages.length)} earlier messages, unchanged`), box);
  const build = () => { if (!box.childElementCount) box.append(...messages.map((message) => card(message, context)).filter(Boolean)); };
  if (messages.length <= BUILT_AHEAD) build();
  else details.addEventListener("toggle", build, { once: true });
  return details;
}

/** @param {unknown} value @returns {any} */
function objectOf(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** Spans of other tools have an input and an output, but no messages. */
function plainValues(detail) {
  const named = [["Input", detail.input], ["Output", detail.output]].filter(([, value]) => value != null);
  const isHttp = detail.request?.body != null || detail.response?.body != null;
  const bodies = isHttp ? [["Request", detail.request?.body], ["Response", detail.answer ?? detail.response?.body]].filter(([, value]) => value != null && value !== "") : [];
  const shown = named.length ? named : bodies;
  if (!shown.length) return h("p", { class: "muted pad" }, detail.trace?.running ? "This call is still running." : "No messages were recorded for this span.");
  return shown.map(([name, value]) => section(String(name), typeof value === "string" ? longText(value, { cls: "plain" }) : jsonTree(value, { open: 3 }), () => asText(value)));
}

/** @param {string} title @param {() => string} text */
function section(title, content, text) {
  return h("article", { class: "msg", "aria-label": title }, h("header", null, h("h2", null, title), h("span", { class: "grow" }), copyButton(text, `Copy ${title.toLowerCase()}`)), h("div", { class: "msg-body" }, content));
}

/** @param {Message} message @param {Context} context @param {boolean} [isOutput] */
function card(message, context, isOutput = false) {
  const parts = (message.parts ?? []).filter((part) => !(part.type === "tool_result" && context.nested.has(part.id)));
  if (!parts.length && message.parts?.length) return null; // shown beneath its call
  const role = visible(message.role ?? "message");
  const text = parts.filter((part) => part.type === "text").map((part) => part.text ?? "").join("\n\n");
  const isFolded = /^(system|developer)$/.test(role) && text.length > SYSTEM_CHARS;
  const content = h("div", { class: "msg-body" }, parts.length ? parts.map((part) => partNode(part, context)) : h("span", { class: "muted" }, "(empty)"));
  return h("article", { class: "msg", data: { role }, "aria-label": `${role}${message.name ? ` ${visible(message.name)}` : ""} message` },
    h("header", null, h("h2", null, role), message.name ? h("span", { class: "muted mono" }, visible(message.name)) : null, isOutput ? h("span", { class: "pill" }, "answer") : null,
      message.finish_reason ? h("span", { class: "muted" }, visible(message.finish_reason)) : null, h("span", { class: "grow" }),
      text ? h("span", { class: "muted size" }, `${count(text.length)} chars`) : null, text ? copyButton(() => text, `Copy ${role} message`) : null),
    isFolded ? folded(content, text) : content);
}

/** @param {HTMLElement} content @param {string} text */
function folded(content, text) {
  return h("details", { class: "fold" }, h("summary", null, h("span", { class: "fold-head", dir: "auto" }, head(text.slice(0, 1000).replace(/\s+/g, " "), 180), "…"),
    h("span", { class: "muted" }, ` ${count(text.length)} characters, about ${compact(Math.round(text.length / 4))} tokens`)), content);
}

/** @type {Record<string, (part: any, context: Context) => any>} */
const PARTS = {
  text: (part, context) => textNode(String(part.text ?? ""), context.mode),
  reasoning: (part, context) => h("details", { class: "reasoning" }, h("summary", null, `Reasoning, ${count(String(part.text ?? "").length)} characters`),
    h("div", { class: "block" }, h("div", { class: "block-tools" }, copyButton(() => String(part.text ?? ""), "Copy reasoning")), textNode(String(part.text ?? ""), context.mode))),
  refusal: (part) => h("div", { class: "refusal" }, icon("warn"), h("strong", null, "Refused: "), part.text),
  tool_call: toolCall,
  tool_result: (part, context) => h("div", { class: "tool" }, h("div", { class: "tool-head" }, icon("tool"), h("span", null, "Result", context.names.get(part.id) ? ` of ${visible(context.names.get(part.id))}` : ""), part.id ? h("span", { class: "muted mono" }, visible(part.id)) : null,
    h("span", { class: "grow" }), copyButton(() => asText(part.content ?? ""), "Copy result")), resultNode(part, context.mode)),
  image: (part) => media("image", part),
  audio: (part) => media("audio", part),
  file: (part) => media("file", part),
  json: (part) => jsonBlock(part.value, "value", { open: 2 }),
};

/** @param {Context} context */
function partNode(part, context) {
  return (Object.hasOwn(PARTS, part.type) ? PARTS[part.type] : () => jsonTree(part, { open: 1 }))(part, context);
}

/** @param {string} text @param {string} mode */
function textNode(text, mode) {
  if (text.length > LONG_CHARS) return longText(text, { cls: "plain" });
  return mode === "markdown" && looksMarkdown(text) ? markdown(text) : h("div", { class: "plain", dir: "auto" }, text);
}

/** @param {Context} context */
function toolCall(part, context) {
  const result = part.id && context.nested.has(part.id) ? context.results.get(part.id) : null;
  const span = part.id ? context.tools.get(part.id) : null;
  return h("div", { class: "tool" },
    h("div", { class: "tool-head" }, icon("tool"), h("strong", { class: "mono" }, visible(part.name || "tool")), part.id ? h("span", { class: "muted mono" }, visible(part.id)) : null, h("span", { class: "grow" }), span ? took(span, context) : null, copyButton(() => asText(part.arguments ?? ""), "Copy arguments")),
    argumentsNode(part.arguments),
    result ? h("div", { class: "tool-result" }, h("div", { class: "result-head" }, "Result", h("span", { class: "grow" }), copyButton(() => asText(result.content ?? ""), "Copy result")), resultNode(result, context.mode)) : null);
}

/** How long the tool ran, from its own span. @param {Context} context */
function took(span, context) {
  const text = `${duration(span.duration_ms)}${(span.status ?? 0) >= 400 ? `, error ${span.status}` : ""}`;
  const cls = (span.status ?? 0) >= 400 ? "took is-error" : "took";
  return context.onSpan ? h("button", { type: "button", class: `more ${cls}`, title: "To the tool's span", onclick: () => context.onSpan?.(span) }, text) : h("span", { class: cls }, text);
}

function argumentsNode(given) {
  const value = typeof given === "string" ? parsed(given) : given;
  if (value && typeof value === "object") return Object.keys(value).length ? jsonTree(value, { open: 2 }) : h("span", { class: "muted" }, "no arguments");
  return longText(String(given ?? ""), { cls: "plain mono" });
}

/** @param {string} mode */
function resultNode(part, mode) {
  const text = part.content;
  if (typeof text === "string" && text.length > LONG_JSON && /^\s*[[{]/.test(text)) return longJson({ text, otherwise: () => longText(text, { cls: "plain" }) });
  const value = typeof text === "string" ? parsed(text) : text;
  return value && typeof value === "object" ? jsonTree(value, { open: 2 }) : textNode(String(text ?? ""), mode);
}

/** @param {string} text */
function parsed(text) {
  if (!/^\s*[[{]/.test(text) || text.length > LONG_JSON) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function tools(list) {
  if (!Array.isArray(list) || !list.length) return null;
  const names = list.flatMap((tool) => tool?.functionDeclarations ?? tool?.function_declarations ?? [tool]).map((tool) => visible(tool?.function?.name ?? tool?.name ?? tool?.type ?? "tool"));
  return lazyLine(names.length === 1 ? "Tool offered " : `${count(names.length)} tools offered `, names.join(", "), () => jsonBlock(list, "tool definitions", { open: 1 }));
}

const NOT_PARAMETERS = new Set(["messages", "input", "prompt", "tools", "functions", "model", "contents", "system", "instructions", "system_instruction", "systemInstruction"]);

/** @param {Record<string, any>} request */
function parameters(request) {
  const rest = Object.entries(request).filter(([key]) => !NOT_PARAMETERS.has(key));
  if (!rest.length) return null;
  const short = rest.map(([key, value]) => `${key} ${head(typeof value === "object" ? JSON.stringify(value) : String(value), 30)}`).join(" · ");
  return lazyLine("Parameters ", short, () => jsonTree(Object.fromEntries(rest), { open: 2 }));
}

/** @param {string} title @param {string} short @param {() => any} build */
function lazyLine(title, short, build) {
  const details = h("details", { class: "line" }, h("summary", null, h("strong", null, title), h("span", { class: "muted mono" }, head(visible(short), 300))));
  details.addEventListener("toggle", () => details.append(build()), { once: true });
  return details;
}

function errorCard(trace) {
  return h("article", { class: "msg is-error", "aria-label": "Error" }, h("header", null, icon("error"), h("h2", null, `Error ${trace.status ?? ""}`), h("span", { class: "muted" }, trace.duration_ms == null ? "" : `after ${duration(trace.duration_ms)}`), h("span", { class: "grow" }), copyButton(() => String(trace.error), "Copy error")),
    h("div", { class: "msg-body" }, longText(String(trace.error), { cls: "plain mono" })));
}
