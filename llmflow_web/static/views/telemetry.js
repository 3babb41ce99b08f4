// @ts-check
/** Logs, metrics and the mixed timeline: plain lists of the newest. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { h, notice, time } from "../parts/dom.js";
import { mountPage, table } from "../parts/table.js";

const LIMIT = 200;
const at = (ms) => time(ms, format.stamp(ms), format.iso(ms));
const traceLink = (row) => row.trace_id && h("a", { class: "mono", href: `/traces/${encodeURIComponent(row.trace_id)}` }, format.head(row.trace_id, 8));

/** @type {Record<string, {title: string, path: string, params?: any, rows: (answer: any) => any[], empty: string, columns: import("../parts/table.js").PlainColumn[], isError?: (row: any) => boolean}>} */
const KINDS = {
  logs: {
    title: "Logs", path: "/api/logs", rows: (answer) => answer.logs ?? [], empty: "Log records arrive by OpenTelemetry (OTLP) on the dashboard port.", isError: (row) => (row.severity_number ?? 0) >= 17,
    columns: [{ label: "Time", cell: (row) => at(row.timestamp) }, { label: "Severity", cell: (row) => row.severity_text ?? "" }, { label: "Service", cell: (row) => row.service_name ?? "" }, { label: "Event", cell: (row) => row.event_name ?? "" },
      { label: "Body", cell: (row) => format.head(String(row.body ?? ""), 400) }, { label: "Trace", cell: traceLink }],
  },
  metrics: {
    title: "Metrics", path: "/api/metrics", params: { aggregation: "summary" }, rows: (answer) => answer.summary ?? [], empty: "Metrics arrive by OpenTelemetry (OTLP) on the dashboard port.",
    columns: [{ label: "Name", cell: (row) => h("span", { class: "mono" }, row.name) }, { label: "Type", cell: (row) => row.metric_type }, { label: "Service", cell: (row) => row.service_name ?? "" },
      { label: "Value", cls: "num", cell: (row) => format.compact(row.sum_int || row.avg_double || row.max_int) }, { label: "Points", cls: "num", cell: (row) => format.count(row.data_points) }, { label: "Last", cell: (row) => at(row.last_seen) }],
  },
  timeline: {
    title: "Timeline", path: "/api/timeline", rows: (answer) => answer, empty: "Calls and log records appear here together, newest first.", isError: (row) => (row.status ?? 0) >= 400,
    columns: [{ label: "Time", cell: (row) => at(row.timestamp) }, { label: "Kind", cell: (row) => h("span", { class: "pill" }, row.type) },
      { label: "What", cell: (row) => (row.type === "trace" ? h("a", { href: `/traces/${encodeURIComponent(row.data?.trace_id ?? row.id)}` }, row.title) : row.title) }, { label: "Where", cell: (row) => row.subtitle ?? "" },
      { label: "Status", cell: (row) => row.severity_text ?? row.status ?? "" }, { label: "Duration", cls: "num", cell: (row) => (row.type === "trace" ? format.duration(row.duration_ms) : "") },
      { label: "Tokens", cls: "num", cell: (row) => (row.tokens ? format.compact(row.tokens) : "") }, { label: "Cost", cls: "num", cell: (row) => (row.type === "trace" ? format.cost(row.cost) : "") }],
  },
};

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  let kind = KINDS.logs;
  return mountPage(el, {
    ask(signal) {
      kind = KINDS[state.route.params.kind];
      return get(kind.path, { limit: LIMIT, ...kind.params }, signal);
    },
    show(page, answer) {
      const rows = kind.rows(answer);
      page.append(h("h1", null, kind.title), rows.length ? table(rows, kind.columns, { label: kind.title, isError: kind.isError }) : notice("Nothing here yet", kind.empty, h("a", { class: "button", href: "/setup" }, "Setup")));
      if (rows.length === LIMIT) page.append(h("p", { class: "muted pad" }, `The newest ${LIMIT}. Press r to reload.`));
    },
  });
}
