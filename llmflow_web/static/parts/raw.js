// @ts-check
/** Request and response as they travelled: line, headers (redacted by the server), body, and the events of a stream. */
import { get, slice } from "../feed/api.js";
import { bytes, count, duration, head } from "../lib/format.js";
import { events, isStream } from "../lib/sse.js";
import { statusWord } from "../lib/outcome.js";
import { announce, copyButton, h, put, setAttr } from "./dom.js";
import { jsonTree, longText } from "./json.js";

const EVENT_STEP = 200;
const SLICE_BYTES = 327_680;

/** @param {HTMLElement} el */
export function mountRaw(el, detail) {
  const { request = {}, response = {}, trace = {} } = detail;
  if (!request.method && !response.status && request.body == null && response.body == null) {
    el.append(h("p", { class: "muted pad" }, "This span was reported by an application: no HTTP request was seen."));
    return;
  }
  el.append(side("Request", [h("span", { class: "mono" }, `${request.method ?? ""} ${request.path ?? ""}`)], request, trace, []));
  const status = response.status ?? trace.response_status;
  /** @type {[string, () => any][]} */
  const views = [];
  if (!response.is_partial && isStream(response.headers, response.body)) views.push(["Events", () => eventList(detail)]);
  if (detail.answer) views.push(["Assembled", () => jsonTree(detail.answer, { open: 4 })]);
  el.append(side("Response", [h("span", { class: "mono" }, status ? `${status} ${status >= 400 ? statusWord(status) : ""}` : "no answer"),
    trace.ending && trace.ending !== "finished" ? h("span", { class: "pill is-warn" }, trace.ending.replace("_", " ")) : null], response, trace, views));
}

/** @param {string} title @param {[string, () => any][]} more views of the body beside the plain ones */
function side(title, line, message, trace, more) {
  const part = title.toLowerCase();
  const headers = Object.entries(message.headers ?? {});
  const text = () => (typeof message.body === "string" ? message.body : JSON.stringify(message.body, null, 2));
  const build = () => (message.is_partial ? partialText(message, part, trace) : longText(text(), { size: message.size }));
  const views = [...more];
  if (message.body != null && typeof message.body === "object") views.push(["JSON", () => jsonTree(message.body, { open: 3 })]);
  if (message.body != null && message.body !== "") views.push(["Text", build]);
  const area = h("div", { class: "raw-body" });
  const choices = h("div", { class: "segments", role: "group", "aria-label": `Show the ${title.toLowerCase()} as` }, views.map(([name, build]) => h("button", { type: "button", "aria-pressed": "false", onclick: (/** @type {Event} */ event) => choose(event.currentTarget, build) }, name)));
  /** @param {() => any} build */
  function choose(button, build) {
    for (const one of choices.children) setAttr(one, "aria-pressed", one === button ? "true" : "false");
    put(area, build());
  }
  if (views.length) choose(choices.firstChild, views[0][1]);
  else put(area, h("p", { class: "muted" }, "No body."));
  return h("section", { class: "raw", "aria-label": title },
    h("header", null, h("h3", null, title), line, h("span", { class: "grow" }), h("span", { class: "muted" }, message.size == null ? "" : bytes(message.size)), views.length > 1 ? choices : null, message.body != null ? copyButton(text, `Copy ${title.toLowerCase()} body`) : null),
    message.is_cut ? h("p", { class: "hint" }, "Only the beginning of this body was kept.") : null,
    message.is_raw ? h("p", { class: "hint" }, "This body is compressed in a way that LLMFlow cannot undo.") : null,
    headers.length ? h("details", { class: "line" }, h("summary", null, h("strong", null, "Headers "), h("span", { class: "muted" }, count(headers.length))),
      h("dl", { class: "headers mono" }, headers.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, Array.isArray(value) ? value.join(", ") : String(value)))))) : null,
    area);
}

/** A body of which the answer held only the head: the rest is asked for piece by piece. @param {string} part */
function partialText(message, part, trace) {
  const pre = h("pre", { class: "code", tabindex: 0, "aria-label": "Text" }, message.body);
  const decoder = new TextDecoder();
  let offset = 0;
  const more = h("button", { type: "button", class: "button", onclick: async () => {
    more.disabled = true;
    try {
      const piece = await slice(trace, part, offset, SLICE_BYTES);
      // from the start again at first: the head may end inside a character
      if (!offset) pre.textContent = "";
      offset += piece.data.byteLength;
      pre.append(decoder.decode(piece.data, { stream: offset < piece.size }));
      more.textContent = `Show more (${bytes(offset)} of ${bytes(piece.size)})`;
      more.hidden = offset >= piece.size;
    } catch (error) {
      announce(String(error), true);
    }
    more.disabled = false;
  } }, `Show more (64.0 KB of ${bytes(message.size)})`);
  return h("div", null, pre, more);
}

function eventList(detail) {
  const list = h("ol", { class: "events mono" });
  const box = h("div", null, list);
  const show = (/** @type {[number, number][]} */ arrivals) => {
    const all = events(detail.response.body, arrivals);
    list.replaceChildren();
    let shown = 0;
    const more = h("button", { type: "button", class: "button", onclick: add });
    function add() {
      list.append(...all.slice(shown, shown + EVENT_STEP).map((event, i) => eventNode(event, shown + i)));
      shown = Math.min(all.length, shown + EVENT_STEP);
      more.textContent = `Show ${count(Math.min(EVENT_STEP, all.length - shown))} of ${count(all.length - shown)} more`;
      more.hidden = shown >= all.length;
    }
    add();
    put(box, list, more);
  };
  show(detail.response.arrivals ?? []);
  if (!detail.response.arrivals && detail.trace?.id) arrivalsOf(detail.trace).then((arrivals) => { if (arrivals.length && box.isConnected) show(arrivals); });
  return box;
}

/** @returns {Promise<[number, number][]>} */
async function arrivalsOf(trace) {
  try {
    const answer = await get(`/api/spans/${encodeURIComponent(trace.id)}/body`, { part: "arrivals", trace_id: trace.trace_id });
    return Array.isArray(answer) ? answer : (answer.arrivals ?? []);
  } catch {
    return []; // the events are shown without their times
  }
}

/** @param {import("../lib/sse.js").StreamEvent} event @param {number} index */
function eventNode(event, index) {
  const line = [h("span", { class: "n" }, index + 1), h("span", { class: "at" }, event.ms == null ? "" : `+${duration(event.ms)}`), event.event ? h("span", { class: "name" }, event.event) : null];
  if (!/^\s*[[{]/.test(event.data)) return h("li", { class: "leaf" }, line, h("span", { class: "data" }, head(event.data, 400)));
  const details = h("details", null, h("summary", null, line, h("span", { class: "data" }, head(event.data, 300))));
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    try {
      details.append(jsonTree(JSON.parse(event.data), { open: 5 }));
    } catch {
      details.append(h("pre", { class: "code" }, event.data));
    }
  });
  return h("li", null, details);
}
