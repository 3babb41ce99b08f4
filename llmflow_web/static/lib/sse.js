// @ts-check
/** A recorded event stream, cut into its events for the screen. Pure. */

/** @typedef {{event: string, data: string, offset: number, ms: number|null}} StreamEvent */

/**
 * @param {string} text the body as it came @param {[number, number][]} [arrivals] (offset, ms) of each piece that arrived
 * @param {number} [most] @returns {StreamEvent[]}
 */
export function events(text, arrivals = [], most = 20_000) {
  /** @type {StreamEvent[]} */
  const list = [];
  const blocks = /\r\n\r\n|\n\n|\r\r/g;
  let start = 0;
  while (start < text.length && list.length < most) {
    blocks.lastIndex = start;
    const match = blocks.exec(text);
    const stop = match ? match.index : text.length;
    const event = one(text.slice(start, stop));
    if (event) list.push({ ...event, offset: start, ms: null });
    start = match ? stop + match[0].length : text.length;
  }
  stampAll(list, arrivals);
  return list;
}

/** @param {string} block @returns {{event: string, data: string}|null} */
function one(block) {
  let event = "";
  const data = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line.startsWith("event:")) event = line.slice(6).trim();
  }
  return data.length || event ? { event, data: data.join("\n") } : null;
}

/** Give each event the time its piece arrived. Offsets count bytes: exact while the text is ASCII, near otherwise. @param {StreamEvent[]} list @param {[number, number][]} arrivals */
function stampAll(list, arrivals) {
  let at = -1;
  for (const event of list) {
    while (at + 1 < arrivals.length && arrivals[at + 1][0] <= event.offset) at += 1;
    if (at >= 0) event.ms = arrivals[at][1];
  }
}

/** Whether a body is an event stream. @param {Record<string, any>|undefined} headers @param {unknown} body */
export function isStream(headers, body) {
  if (typeof body !== "string") return false;
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (name.toLowerCase() === "content-type") return String(value).includes("event-stream");
  }
  return /^(data|event|id|retry)?:/.test(body.trimStart());
}
