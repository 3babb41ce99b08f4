// @ts-check
/** One log record in full: its words, its attributes, where it came from. */
import { get, isAbort } from "../feed/api.js";
import * as format from "../lib/format.js";
import { traceAddress } from "../lib/links.js";
import { copyButton, failure, h, icon, notice, put, time } from "./dom.js";
import { asText, jsonTree, longText } from "./json.js";

const LEVELS = /** @type {[number, string, string][]} */ ([[21, "FATAL", "error"], [17, "ERROR", "error"], [13, "WARN", "warn"], [9, "INFO", "info"], [5, "DEBUG", "info"], [1, "TRACE", "info"]]);

/** A severity as a word; an icon stands beside those that matter. */
export function severityOf(row) {
  const [, word, kind] = LEVELS.find(([from]) => (row.severity_number ?? 0) >= from) ?? [0, "", "info"];
  return { word: format.visible(row.severity_text || word || "–"), kind };
}

export function severityNode(row) {
  const { word, kind } = severityOf(row);
  return h("span", { class: `severity ${kind}` }, kind === "info" ? null : icon(kind), word);
}

/** @param {HTMLElement} el @param {string} id @param {AbortSignal} signal */
export async function showLog(el, id, signal) {
  el.setAttribute("aria-busy", "true");
  try {
    const row = await get(`/api/logs/${encodeURIComponent(id)}`, {}, signal);
    put(el, record(row));
  } catch (error) {
    if (isAbort(error) || signal.aborted) return;
    put(el, /** @type {any} */ (error).status === 404 ? notice("This record is not here", "The oldest records make room for new ones.") : failure(error, () => showLog(el, id, signal)));
  }
  el.removeAttribute("aria-busy");
}

function record(row) {
  const body = parsed(row.body);
  const scope = row.detail?.scope;
  const facts = /** @type {[string, any][]} */ ([
    ["Time", time(row.timestamp, `${format.day(row.timestamp)} ${format.clock(row.timestamp, true)}`, format.iso(row.timestamp))], ["Service", row.service_name && h("a", { href: `/logs?${new URLSearchParams({ service: row.service_name })}` }, format.visible(row.service_name))],
    ["Event", row.event_name && h("a", { href: `/logs?${new URLSearchParams({ event: row.event_name })}` }, format.visible(row.event_name))], ["Tool", row.tool && format.visible(row.tool)],
    ["Session", row.session_id && h("a", { href: `/sessions/${encodeURIComponent(row.session_id)}` }, format.visible(row.session_id))],
    ["Trace", row.trace_id && h("a", { class: "mono", href: traceAddress(row.trace_id, row.span_id ?? "", row.span_id ? "" : "logs") }, format.visible(row.trace_id))], ["Span", row.span_id && h("span", { class: "mono" }, format.visible(row.span_id))],
    ["Scope", scope?.name && format.visible(`${scope.name} ${scope.version ?? ""}`)],
  ]).filter(([, value]) => value);
  return h("article", { class: "record" },
    h("header", null, severityNode(row), h("h2", null, format.visible(row.event_name ?? format.head(asText(row.body ?? "Log record"), 80))), copyButton(() => JSON.stringify(row, null, 2), "Copy the record as JSON")),
    h("dl", { class: "pairs" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    part("Body", row.body == null || row.body === "" ? null : body && typeof body === "object" ? jsonTree(body, { open: 3 }) : longText(String(row.body), { cls: "plain" })),
    part("Attributes", filled(row.attributes) ? jsonTree(row.attributes, { open: 2 }) : null), part("Resource", filled(row.resource_attributes) ? jsonTree(row.resource_attributes, { open: 2 }) : null));
}

/** @param {string} name */
function part(name, content) {
  return h("section", { "aria-label": name }, h("h3", null, name), content ?? h("p", { class: "muted" }, "None."));
}

const filled = (/** @type {any} */ value) => value && Object.keys(value).length > 0;

/** @param {unknown} value */
function parsed(value) {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return null;
  try {
    return JSON.parse(value);
  } catch {
    return null;
  }
}
