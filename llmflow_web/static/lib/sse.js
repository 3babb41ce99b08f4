// @ts-check
/** A recorded stream, cut into its events for the screen: event streams (SSE) and lines of JSON. Pure. */

/** @typedef {{event: string, data: string, offset: number, ms: number|null}} StreamEvent */

/**
 * @param {string} text the body as it came @param {[number, number][]} [arrivals] (offset, ms) of each piece that arrived
 * @param {{most?: number, areLines?: boolean, bytesBefore?: number}} [options] bytesBefore: of the body, when `text` is a later part of it
 * @returns {StreamEvent[]}
 */
export function events(text, arrivals = [], { most = 50_000, areLines = false, bytesBefore = 0 } = {}) {
  /** @type {StreamEvent[]} */
  const list = [];
  const blocks = areLines ? /\r?\n/g : /\r\n\r\n|\n\n|\r\r/g;
  let start = 0;
  while (start < text.length && list.length < most) {
    blocks.lastIndex = start;
    const match = blocks.exec(text);
    const stop = match ? match.index : text.length;
    const event = areLines ? line(text.slice(start, stop)) : one(text.slice(start, stop));
    if (event) list.push({ ...event, offset: start, ms: null });
    start = match ? stop + match[0].length : text.length;
  }
  stampAll(text, list, arrivals, bytesBefore);
  return list;
}

/** @param {string} text @returns {{event: string, data: string}|null} */
function line(text) {
  return text.trim() ? { event: "", data: text } : null;
}

/** @param {string} block @returns {{event: string, data: string}|null} */
function one(block) {
  let event = "";
  const data = [];
  for (const row of block.split(/\r\n|\n|\r/)) {
    if (row.startsWith("data:")) data.push(row.slice(row[5] === " " ? 6 : 5));
    else if (row.startsWith("event:")) event = row.slice(6).trim();
  }
  return data.length || event ? { event, data: data.join("\n") } : null;
}

/** Give each event the time its piece arrived. Arrivals count bytes, we count characters. @param {string} text @param {StreamEvent[]} list @param {[number, number][]} arrivals @param {number} bytes how many lie before the text */
function stampAll(text, list, arrivals, bytes) {
  if (!arrivals.length) return;
  const encoder = new TextEncoder();
  let at = -1;
  let counted = 0;
  for (const event of list) {
    bytes += encoder.encode(text.slice(counted, event.offset)).length;
    counted = event.offset;
    while (at + 1 < arrivals.length && arrivals[at + 1][0] <= bytes) at += 1;
    if (at >= 0) event.ms = arrivals[at][1];
  }
}

/** @param {Record<string, any>|undefined} headers */
function contentType(headers) {
  for (const [name, value] of Object.entries(headers ?? {})) if (name.toLowerCase() === "content-type") return String(value);
  return "";
}

/** Whether a body is an event stream. @param {Record<string, any>|undefined} headers @param {unknown} body */
export function isStream(headers, body) {
  if (typeof body !== "string") return false;
  const type = contentType(headers);
  return type ? type.includes("event-stream") : /^(data|event|id|retry)?:/.test(body.trimStart());
}

/** Whether a body is lines of JSON, as Ollama streams. @param {Record<string, any>|undefined} headers @param {unknown} body */
export function isLines(headers, body) {
  return typeof body === "string" && /ndjson|jsonl|json-seq/.test(contentType(headers));
}
