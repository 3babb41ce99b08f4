// @ts-check
/** The events of a stream, each with the time it arrived; a long stream comes piece by piece. */
import { bytes, count, duration, head, visible } from "../lib/format.js";
import { events, isLines } from "../lib/sse.js";
import { announce, h, put } from "./dom.js";
import { jsonTree, longText } from "./json.js";
import { arrivalsOf } from "./stalls.js";

const STEP = 200;
const SILENCE_MS = 1000;

/** @param {import("./body.js").Body} body */
export function mountEvents(body, detail) {
  const list = h("ol", { class: "events mono" });
  const more = h("button", { type: "button", class: "button", onclick: next });
  const box = h("div", null, list, more);
  const areLines = isLines(detail.response.headers, detail.response.body);
  /** @type {[number, number][]} */
  let arrivals = detail.response.arrivals ?? [];
  /** @type {import("../lib/sse.js").StreamEvent[]} */
  let all = [];
  let shown = 0;
  let readChars = 0;
  let readBytes = 0;
  read();

  /** Cut what has come since into events; the last one may go on in the next piece. */
  function read() {
    const text = body.text.slice(readChars);
    const found = events(text, arrivals, { areLines, bytesBefore: readBytes });
    const last = body.isWhole ? null : found.pop();
    const end = body.isWhole ? text.length : (last?.offset ?? 0);
    readBytes += new TextEncoder().encode(text.slice(0, end)).length;
    readChars += end;
    for (const event of found) all.push(event);
  }

  function add() {
    list.append(...all.slice(shown, shown + STEP).map((event, i) => eventNode(event, shown + i, all[shown + i - 1])));
    shown = Math.min(all.length, shown + STEP);
    const rest = all.length - shown;
    more.hidden = rest === 0 && body.isWhole;
    more.textContent = rest ? `Show ${count(Math.min(STEP, rest))} of ${count(rest)}${body.isWhole ? "" : " or"} more` : `Show more (${bytes(body.shown)} of ${bytes(body.size)})`;
  }

  async function next() {
    more.disabled = true;
    try {
      if (all.length - shown < STEP && !body.isWhole) {
        await body.more();
        read();
      }
      add();
    } catch (error) {
      announce(String(error), true);
    }
    more.disabled = false;
  }

  function restart() {
    put(list);
    all = [];
    shown = readChars = readBytes = 0;
  }

  add();
  if (!detail.response.arrivals && detail.trace?.is_stream) {
    arrivalsOf(detail.trace).then((found) => {
      if (!found.length || !box.isConnected) return;
      arrivals = found;
      restart();
      read();
      add();
    });
  }
  return box;
}

/** @param {import("../lib/sse.js").StreamEvent} event @param {number} index @param {import("../lib/sse.js").StreamEvent|undefined} before */
function eventNode(event, index, before) {
  const silence = event.ms == null || before?.ms == null ? 0 : event.ms - before.ms;
  const line = [h("span", { class: "n" }, index + 1), h("span", { class: silence > SILENCE_MS ? "at is-late" : "at", title: silence > SILENCE_MS ? `${duration(silence)} after the one before` : null }, event.ms == null ? "" : `+${duration(event.ms)}`),
    event.event ? h("span", { class: "name" }, visible(event.event)) : null];
  if (!/^\s*[[{]/.test(event.data)) return h("li", { class: "leaf" }, line, h("span", { class: "data" }, head(event.data, 400)));
  const details = h("details", null, h("summary", null, line, h("span", { class: "data" }, head(event.data, 300))));
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    try {
      details.append(jsonTree(JSON.parse(event.data), { open: 5 }));
    } catch {
      details.append(longText(event.data));
    }
  });
  return h("li", null, details);
}
