// @ts-check
/** Log records: the newest first, filtered by severity, service, event and words, one of them in full beside the list. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { traceAddress } from "../lib/links.js";
import { h, put, setAttr, setText } from "../parts/dom.js";
import { severityNode, showLog } from "../parts/logdetail.js";
import { mountTailList } from "../parts/taillist.js";
import { SINCE, sinceMs } from "../lib/since.js";

/** @type {[string, string][]} */
const SEVERITIES = [["", "All severities"], ["5", "Debug and above"], ["9", "Info and above"], ["13", "Warnings and errors"], ["17", "Errors"]];

/** @param {HTMLElement} cell @param {string|null|undefined} text */
const say = (cell, text) => setText(cell, text ? format.head(format.visible(text), 400) : "");

/** @type {import("../parts/grid.js").Column[]} */
const COLUMNS = [
  { key: "at", label: "Time", render(cell, row) { setText(cell, `${isToday(row.timestamp) ? "" : `${format.day(row.timestamp)} `}${format.clock(row.timestamp, true)}`); setAttr(cell, "title", format.iso(row.timestamp)); } },
  { key: "severity", label: "Severity", render: (cell, row) => { put(cell, severityNode(row)); } },
  { key: "service", label: "Service", render: (cell, row) => say(cell, row.service_name) },
  { key: "event", label: "Event", render: (cell, row) => say(cell, row.event_name) },
  { key: "body", label: "Body", render: (cell, row) => say(cell, typeof row.body === "string" ? row.body.replace(/\s+/g, " ") : row.body == null ? row.event_name : JSON.stringify(row.body)) },
  { key: "trace", label: "Trace", render: (cell, row) => { put(cell, row.trace_id ? h("a", { class: "mono", tabindex: -1, href: traceAddress(row.trace_id, row.span_id ?? ""), onclick: (/** @type {Event} */ event) => event.stopPropagation() }, format.head(row.trace_id, 8)) : null); } },
];

/** @param {number} ms */
function isToday(ms) {
  return new Date(ms).toDateString() === new Date().toDateString();
}

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  /** @type {{services: string[], event_names: string[]}} */
  let known = { services: [], event_names: [] };
  const named = (/** @type {string} */ all, /** @type {string[]} */ values) => /** @type {[string, string][]} */ ([["", all], ...values.map((value) => [value, format.visible(value)])]);
  const screen = mountTailList(el, state, {
    title: "Logs", path: "/logs", placeholder: "Search body and attributes", columns: COLUMNS, one: "record", many: "records", keyOf: (row) => row.id, idOf: (row) => row.id, hears: { log: true }, isError: (row) => (row.severity_number ?? 0) >= 17,
    filters: ["q", "severity", "service", "event", "since", "session", "trace"], empty: { title: "No log records yet", text: "They arrive by OpenTelemetry (OTLP) at this port, or from a coding agent." },
    selects: (now) => [["severity", "Severity", SEVERITIES], ["service", "Service", named("All services", known.services)], ["event", "Event", named("All events", known.event_names)], ["since", "Time", SINCE],
      ...(now.get("session") ? [/** @type {any} */ (["session", "Session", [["", "All sessions"]]])] : []), ...(now.get("trace") ? [/** @type {any} */ (["trace", "Trace", [["", "All traces"]]])] : [])],
    async ask(now, page, signal) {
      const answer = await get("/api/logs", {
        q: now.get("q"), severity_min: /^\d+$/.test(now.get("severity") ?? "") ? now.get("severity") : "", service_name: now.get("service"), event_name: now.get("event"), session_id: now.get("session"), trace_id: now.get("trace"),
        date_from: sinceMs(now.get("since"), Date.now()), ...page,
      }, signal);
      return { rows: answer.logs, total: page.date_to ? null : answer.total, note: answer.note };
    },
    detail: (panel, id, signal) => { showLog(panel, id, signal); },
  });
  let isLeft = false;
  get("/api/logs/filters").then((answer) => { known = answer; if (!isLeft && state.route.params.kind === "logs") screen.refreshSelects(); }, () => { /* the selects offer what the address says */ });
  return { ...screen, unmount() { isLeft = true; screen.unmount(); } };
}
