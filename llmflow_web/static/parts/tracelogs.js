// @ts-check
/** The log records that were written under a trace, in the order they were written. */
import { get, isAbort } from "../feed/api.js";
import * as format from "../lib/format.js";
import { failure, h, icon, put, time } from "./dom.js";
import { asText, jsonTree } from "./json.js";

const PAGE = 200;

/** @param {HTMLElement} el @param {{trace: string, start: number, span: string, onSpan: (id: string) => void, signal: AbortSignal}} options */
export function mountTraceLogs(el, options) {
  const list = h("ol", { class: "loglines" });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => load() }, "Show more");
  const box = h("div", { class: "tracelogs", "aria-busy": "true" }, list, more);
  el.append(box);
  let got = 0;

  async function load() {
    more.disabled = true;
    try {
      const answer = await get("/api/logs", { trace_id: options.trace, limit: PAGE, offset: got }, options.signal);
      const rows = answer.logs ?? [];
      got += rows.length;
      list.append(...rows.map((row) => line(row, options)));
      sort(list);
      more.hidden = rows.length < PAGE;
      if (!got) put(box, h("p", { class: "muted pad" }, "No log records were written under this trace."));
    } catch (error) {
      if (!isAbort(error)) put(box, failure(error, () => { put(box, list, more); load(); }));
    }
    more.disabled = false;
    box.removeAttribute("aria-busy");
  }
  load();
}

/** The server gives the newest first; here one reads on from the start. @param {HTMLElement} list */
function sort(list) {
  list.append(...[...list.children].sort((a, b) => Number(/** @type {HTMLElement} */ (a).dataset.at) - Number(/** @type {HTMLElement} */ (b).dataset.at)));
}

/** @param {number|null|undefined} number */
function severity(number) {
  const at = Number(number ?? 0);
  return at >= 17 ? "error" : at >= 13 ? "warn" : "info";
}

/** @param {Parameters<typeof mountTraceLogs>[1]} options */
function line(row, { start, span, onSpan }) {
  const kind = severity(row.severity_number);
  const text = row.body == null ? "" : asText(row.body);
  const more = { ...parsed(row.attributes), ...(row.event_name ? { "event.name": row.event_name } : {}) };
  const head = [
    h("span", { class: "at mono" }, time(row.timestamp, `+${format.duration(Math.max(0, row.timestamp - start))}`, format.iso(row.timestamp))),
    h("span", { class: `severity ${kind}` }, kind === "info" ? null : icon(kind), format.visible(row.severity_text || kind.toUpperCase())),
    h("span", { class: "said" }, format.head(format.visible(text || row.event_name || ""), 300)),
  ];
  const details = h("details", null, h("summary", null, head));
  details.addEventListener("toggle", () => details.append(
    h("div", { class: "inner" }, h("pre", { class: "plain", dir: "auto" }, format.head(text, 65_536)), Object.keys(more).length ? jsonTree(more, { open: 1 }) : null,
      h("p", { class: "muted" }, row.service_name ? `service ${format.visible(row.service_name)} ` : "", row.span_id ? h("button", { type: "button", class: "more", onclick: () => onSpan(row.span_id) }, "To its span") : null))), { once: true });
  return h("li", { data: { at: row.timestamp }, class: row.span_id && row.span_id === span ? "is-own" : null }, details);
}

function parsed(value) {
  if (typeof value !== "string") return value ?? {};
  try {
    return JSON.parse(value);
  } catch {
    return {};
  }
}
