// @ts-check
/** A conversation as cards: who said what, tool calls with their results, everything long folded. */
import { compact, count, duration, head } from "../lib/format.js";
import { looksMarkdown } from "../lib/markdown.js";
import { copyButton, h, icon, put, setAttr, store, stored } from "./dom.js";
import { jsonBlock, jsonTree, longText } from "./json.js";
import { markdown } from "./markdown.js";

const SYSTEM_CHARS = 250;
const LONG_CHARS = 20_000;
const MODES = [["markdown", "Markdown"], ["plain", "Plain"], ["json", "JSON"]];
const MODE_KEY = "llmflow-messages";

/** @typedef {{role: string, parts: any[], name?: string, tool_call_id?: string, finish_reason?: string}} Message */

/** @param {HTMLElement} el @param {any} detail answer of /api/traces/{id} */
export function mountMessages(el, detail) {
  const body = h("div", { class: "messages" });
  const modes = h("div", { class: "segments", role: "group", "aria-label": "Show messages as" }, MODES.map(([id, label]) => h("button", {
    type: "button", data: { mode: id }, onclick: () => { store(MODE_KEY, id); show(); },
  }, label)));
  el.append(h("div", { class: "panel-tools" }, modes), body);

  function show() {
    const mode = stored(MODE_KEY, "markdown");
    for (const button of modes.children) setAttr(button, "aria-pressed", button.dataset.mode === mode ? "true" : "false");
    put(body, mode === "json" ? jsonBlock(detail.messages ?? { input: detail.input, output: detail.output }, "messages", { open: 4 }) : conversation(detail, mode));
  }
  show();
}

/** @param {string} mode */
function conversation(detail, mode) {
  const input = /** @type {Message[]} */ (detail.messages?.input ?? []);
  const output = /** @type {Message[]} */ (detail.messages?.output ?? []);
  const request = objectOf(detail.request?.body);
  const results = resultsById([...input, ...output]);
  const context = { mode, results, used: new Set() };
  const cards = [
    tools(request.tools ?? request.functions),
    parameters(request),
    input.map((message) => card(message, context)),
    output.map((message) => card(message, context, true)),
    detail.trace?.error ? errorCard(detail.trace) : null, // after what had come before it
    input.length || output.length ? null : plainValues(detail),
  ];
  return cards;
}

/** @param {unknown} value @returns {any} */
function objectOf(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** Spans of other tools have an input and an output, but no messages. */
function plainValues(detail) {
  const named = [["Input", detail.input], ["Output", detail.output]].filter(([, value]) => value != null);
  if (named.length) return named.map(([name, value]) => section(String(name), typeof value === "string" ? longText(value, { cls: "plain" }) : jsonBlock(value, String(name).toLowerCase(), { open: 3 })));
  const bodies = [["Request", detail.request?.body], ["Response", detail.answer ?? detail.response?.body]].filter(([, value]) => value != null && value !== "");
  if (bodies.length) return bodies.map(([name, value]) => section(String(name), typeof value === "string" ? longText(value) : jsonBlock(value, String(name).toLowerCase(), { open: 2 })));
  return h("p", { class: "muted pad" }, "No messages were recorded for this span.");
}

/** @param {string} title */
function section(title, content) {
  return h("section", { class: "msg" }, h("header", null, h("h3", null, title)), h("div", { class: "msg-body" }, content));
}

/** @param {Message[]} messages */
function resultsById(messages) {
  /** @type {Map<string, any>} */
  const map = new Map();
  for (const message of messages) for (const part of message.parts ?? []) if (part.type === "tool_result" && part.id) map.set(part.id, part);
  return map;
}

/** @param {Message} message @param {{mode: string, results: Map<string, any>, used: Set<string>}} context @param {boolean} [isOutput] */
function card(message, context, isOutput = false) {
  const parts = (message.parts ?? []).filter((part) => !(part.type === "tool_result" && context.used.has(part.id)));
  if (!parts.length && message.parts?.length) return null; // shown beneath its call
  const role = String(message.role ?? "message");
  const text = parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n");
  const isFolded = /^(system|developer)$/.test(role) && text.length > SYSTEM_CHARS;
  const content = h("div", { class: "msg-body" }, parts.length ? parts.map((part) => partNode(part, context)) : h("span", { class: "muted" }, "(empty)"));
  const node = h("section", { class: "msg", data: { role }, "aria-label": `${role}${message.name ? ` ${message.name}` : ""} message` },
    h("header", null, h("h3", null, role), message.name ? h("span", { class: "muted mono" }, message.name) : null, isOutput ? h("span", { class: "pill" }, "answer") : null,
      message.finish_reason ? h("span", { class: "muted" }, message.finish_reason) : null, h("span", { class: "grow" }),
      text ? h("span", { class: "muted size" }, `${count(text.length)} chars`) : null, text ? copyButton(() => text, `Copy ${role} message`) : null));
  if (isFolded) node.append(folded(content, text));
  else node.append(content);
  return node;
}

/** @param {HTMLElement} content @param {string} text */
function folded(content, text) {
  return h("details", { class: "fold" }, h("summary", null, h("span", { class: "fold-head" }, head(text.replace(/\s+/g, " "), 180), "…"),
    h("span", { class: "muted" }, ` ${count(text.length)} characters, about ${compact(Math.round(text.length / 4))} tokens`)), content);
}

/** @type {Record<string, (part: any, context: any) => any>} */
const PARTS = {
  text: (part, context) => textNode(part.text ?? "", context.mode),
  reasoning: (part, context) => h("details", { class: "reasoning" }, h("summary", null, `Reasoning, ${count((part.text ?? "").length)} characters`), textNode(part.text ?? "", context.mode)),
  refusal: (part) => h("div", { class: "refusal" }, icon("warn"), h("strong", null, "Refused: "), part.text),
  tool_call: toolCall,
  tool_result: (part, context) => resultNode(part, context.mode),
  image: (part) => media("img", part.url, "Image"),
  audio: (part) => media("audio", part.url ?? (part.data ? `data:audio/${part.format ?? "wav"};base64,${part.data}` : ""), "Audio"),
  file: (part) => h("p", { class: "muted" }, `File: ${part.name ?? "without a name"}`),
  json: (part) => jsonTree(part.value, { open: 2 }),
};

function partNode(part, context) {
  return (PARTS[part.type] ?? (() => jsonTree(part, { open: 1 })))(part, context);
}

/** @param {string} text @param {string} mode */
function textNode(text, mode) {
  if (text.length > LONG_CHARS) return longText(text, { cls: "plain" });
  return mode === "markdown" && looksMarkdown(text) ? markdown(text) : h("div", { class: "plain" }, text);
}

function toolCall(part, context) {
  const result = part.id ? context.results.get(part.id) : null;
  if (result) context.used.add(part.id);
  return h("div", { class: "tool" }, h("div", { class: "tool-head" }, icon("tool"), h("strong", { class: "mono" }, part.name || "tool"), part.id ? h("span", { class: "muted mono" }, part.id) : null),
    argumentsNode(part.arguments), result ? h("div", { class: "tool-result" }, h("h4", null, "Result"), resultNode(result, context.mode)) : null);
}

function argumentsNode(text) {
  const value = typeof text === "string" ? parsed(text) : text;
  if (value && typeof value === "object") return Object.keys(value).length ? jsonTree(value, { open: 2 }) : h("span", { class: "muted" }, "no arguments");
  return h("pre", { class: "plain mono" }, String(text ?? ""));
}

/** @param {string} mode */
function resultNode(part, mode) {
  const value = typeof part.content === "string" ? parsed(part.content) : part.content;
  return value && typeof value === "object" ? jsonTree(value, { open: 2 }) : textNode(String(part.content ?? ""), mode);
}

/** @param {string} text */
function parsed(text) {
  if (!/^\s*[[{]/.test(text) || text.length > 1_000_000) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Only what travelled with the call is shown; anything elsewhere is a link. @param {"img"|"audio"} tag @param {string} address @param {string} label */
function media(tag, address, label) {
  if (/^data:(image\/(?!svg)|audio\/)/i.test(address)) return h(tag, tag === "img" ? { class: "picture", src: address, alt: label, loading: "lazy" } : { src: address, controls: true });
  if (/^https?:/i.test(address)) return h("p", null, `${label}: `, h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, head(address, 120)));
  return h("p", { class: "muted" }, `${label} (${address ? head(address, 40) : "not kept"})`);
}

function tools(list) {
  if (!Array.isArray(list) || !list.length) return null;
  const names = list.map((tool) => tool?.function?.name ?? tool?.name ?? tool?.type ?? "tool");
  return h("details", { class: "line" }, h("summary", null, h("strong", null, `${list.length === 1 ? "Tool" : "Tools"} offered `), h("span", { class: "muted mono" }, head(names.join(", "), 300))),
    jsonTree(list, { open: 1 }));
}

const NOT_PARAMETERS = new Set(["messages", "input", "prompt", "tools", "functions", "model", "contents", "system", "instructions"]);

/** @param {Record<string, any>} request */
function parameters(request) {
  const rest = Object.entries(request).filter(([key]) => !NOT_PARAMETERS.has(key));
  if (!rest.length) return null;
  const short = rest.map(([key, value]) => `${key} ${head(typeof value === "object" ? JSON.stringify(value) : String(value), 30)}`).join(" · ");
  return h("details", { class: "line" }, h("summary", null, h("strong", null, "Parameters "), h("span", { class: "muted mono" }, head(short, 300))), jsonTree(Object.fromEntries(rest), { open: 2 }));
}

function errorCard(trace) {
  return h("section", { class: "msg is-error", "aria-label": "Error" }, h("header", null, icon("error"), h("h3", null, `Error ${trace.status ?? ""}`), h("span", { class: "muted" }, trace.duration_ms == null ? "" : `after ${duration(trace.duration_ms)}`)),
    h("div", { class: "msg-body plain mono" }, String(trace.error)));
}
