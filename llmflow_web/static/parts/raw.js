// @ts-check
/** Request and response as they travelled: line, headers (redacted by the server), body, and the events of a stream. */
import { bytes, count, visible } from "../lib/format.js";
import { statusWord } from "../lib/outcome.js";
import { isLines, isStream } from "../lib/sse.js";
import { Body } from "./body.js";
import { announce, copyButton, h, put, setAttr } from "./dom.js";
import { mountEvents } from "./events.js";
import { asText, jsonTree, longText, pour } from "./json.js";
import { LONG_JSON, longJson } from "./longjson.js";

/** @param {HTMLElement} el */
export function mountRaw(el, detail) {
  const { request = {}, response = {}, trace = {} } = detail;
  if (!request.method && !response.status && request.body == null && response.body == null) {
    el.append(h("p", { class: "muted pad" }, "This span was reported by an application: no HTTP request was seen."));
    return;
  }
  el.append(side("Request", h("span", { class: "mono" }, visible(`${request.method ?? ""} ${request.path ?? ""}`)), request, new Body(request, "request", trace), []));
  const status = response.status ?? trace.response_status;
  const body = new Body(response, "response", trace);
  /** @type {[string, () => any][]} */
  const views = [];
  if (isStream(response.headers, response.body) || isLines(response.headers, response.body)) views.push(["Events", () => mountEvents(body, detail)]);
  if (detail.answer) views.push(["Assembled", () => jsonTree(detail.answer, { open: 4 })]);
  el.append(side("Response", [h("span", { class: "mono" }, status ? `${status} ${status >= 400 ? statusWord(status) : ""}` : "no answer"),
    trace.ending && trace.ending !== "finished" ? h("span", { class: "pill is-warn" }, trace.ending.replace("_", " ")) : null], response, body, views));
}

/** @param {string} title @param {Body} body @param {[string, () => any][]} more views of the body beside the plain ones */
function side(title, line, message, body, more) {
  const part = title.toLowerCase();
  const headers = Object.entries(message.headers ?? {});
  const views = [...more, ...plainViews(message, body, more.length > 0)];
  const area = h("div", { class: "raw-body" });
  const choices = h("div", { class: "segments", role: "group", "aria-label": `Show the ${part} as` }, views.map(([name, build]) => h("button", { type: "button", "aria-pressed": "false", onclick: (/** @type {Event} */ event) => choose(event.currentTarget, build) }, name)));
  /** @param {() => any} build */
  function choose(button, build) {
    for (const one of choices.children) setAttr(one, "aria-pressed", one === button ? "true" : "false");
    put(area, build());
  }
  if (views.length) choose(choices.firstChild, views[0][1]);
  else put(area, h("p", { class: "muted" }, "No body."));
  const copyBody = async () => (body.isWhole ? asText(body.isText ? body.text : message.body) : (await fetch(body.address)).text());
  return h("section", { class: "raw", "aria-label": title },
    h("header", null, h("h2", null, title), line, h("span", { class: "grow" }), h("span", { class: "muted" }, message.size == null ? "" : bytes(message.size)), views.length > 1 ? choices : null, message.body != null ? copyButton(copyBody, `Copy ${part} body`) : null),
    message.is_cut ? h("p", { class: "hint" }, "Only the beginning of this body was kept.") : null,
    message.is_raw ? h("p", { class: "hint" }, "This body is compressed in a way that LLMFlow cannot undo.") : null,
    headers.length ? headerTable(title, headers) : null, area);
}

/** @param {Body} body @param {boolean} hasOwn */
function plainViews(message, body, hasOwn) {
  /** @type {[string, () => any][]} */
  const views = [];
  if (message.body == null || message.body === "") return views;
  if (typeof message.body === "object") views.push(["JSON", () => jsonTree(message.body, { open: 3 })]);
  views.push(["Text", () => (body.isPartial || body.offset ? partialText(body) : longText(asText(message.body), { size: message.size }))]);
  if (body.isText && !hasOwn && body.size > LONG_JSON && /^\s*[[{]/.test(body.text)) {
    views.push(["JSON", () => longJson(body.isWhole ? { text: body.text, open: 1 } : { address: body.address, size: body.size, open: 1 })]);
  }
  return views;
}

/** @param {string} title @param {[string, unknown][]} headers */
function headerTable(title, headers) {
  const text = () => headers.map(([name, value]) => `${name}: ${value}`).join("\n");
  return h("details", { class: "line" }, h("summary", null, h("strong", null, "Headers "), h("span", { class: "muted" }, count(headers.length))),
    h("div", { class: "block" }, h("div", { class: "block-tools" }, copyButton(text, `Copy ${title.toLowerCase()} headers`)),
      h("dl", { class: "headers mono" }, headers.map(([name, value]) => h("div", null, h("dt", null, visible(name)), h("dd", null, visible(Array.isArray(value) ? value.join(", ") : value)))))));
}

/** The head at once, the rest slice by slice. @param {Body} body */
function partialText(body) {
  const pre = h("pre", { class: "code", tabindex: 0, "aria-label": "Text", dir: "auto" });
  pour(pre, body.text);
  const more = h("button", { type: "button", class: "button", hidden: body.isWhole, onclick: async () => {
    more.disabled = true;
    try {
      const piece = await body.more();
      if (piece.isFromStart) pre.textContent = "";
      pour(pre, piece.text);
      more.textContent = label();
      more.hidden = body.isWhole;
    } catch (error) {
      announce(String(error), true);
    }
    more.disabled = false;
  } });
  const label = () => `Show more (${bytes(body.shown)} of ${bytes(body.size)})`;
  more.textContent = label();
  return h("div", null, pre, more);
}
