// @ts-check
/** Sessions: the table, and the calls of one of them in order. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { h, icon, notice, time } from "../parts/dom.js";
import { mountPage, table } from "../parts/table.js";

const LIMIT = 200;

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const at = (ms) => time(ms, format.stamp(ms), format.iso(ms));
  return mountPage(el, {
    ask: (signal) => (state.route.params.session ? get(`/api/sessions/${encodeURIComponent(state.route.params.session)}`, {}, signal) : get("/api/sessions", { limit: LIMIT }, signal)),
    show: (page, answer) => (answer.summary ? one(page, answer) : all(page, answer)),
  });

  function all(page, { sessions = [], total = 0 }) {
    page.append(h("h1", null, "Sessions"));
    if (!sessions.length) return void page.append(notice("No sessions yet", "A session groups the calls that carry the same X-LLMFlow-Session-Id header, or session.id attribute.", h("a", { class: "button", href: "/setup" }, "See the headers")));
    page.append(table(sessions, [
      { label: "Session", cell: (row) => h("a", { href: `/sessions/${encodeURIComponent(row.session_id)}` }, row.session_id) },
      { label: "User", cell: (row) => row.user_id ?? "" },
      { label: "Agent / service", cell: (row) => row.agent_name ?? row.service_name ?? "" },
      { label: "First", cell: (row) => at(row.first_seen) }, { label: "Last", cell: (row) => at(row.last_seen) },
      { label: "Traces", cls: "num", cell: (row) => format.count(row.trace_count) }, { label: "Tokens", cls: "num", cell: (row) => format.compact(row.total_tokens) },
      { label: "Errors", cls: "num", cell: (row) => (row.error_count == null ? "" : format.count(row.error_count)) }, { label: "Cost", cls: "num", cell: (row) => format.costSum(row.total_cost, row.unpriced_count) },
    ], { label: "Sessions" }));
    if (total > sessions.length) page.append(h("p", { class: "muted pad" }, `The newest ${format.count(sessions.length)} of ${format.count(total)} sessions.`));
  }

  function one(page, { session_id: id, traces, summary }) {
    document.title = `${id} · LLMFlow`;
    const card = (name, value) => h("div", { class: "card" }, h("dt", null, name), h("dd", null, value));
    page.append(h("h1", null, h("a", { class: "ghost", href: "/sessions", "aria-label": "All sessions", title: "All sessions" }, icon("back")), "Session ", h("span", { class: "mono" }, id)),
      h("dl", { class: "cards" }, card("Traces", format.count(traces.length)), card("Spans", format.count(summary.spans)), card("Tokens", format.compact(summary.tokens)), card("Cost", format.costSum(summary.cost, summary.unpriced_count)), card("Errors", format.count(summary.errors))),
      h("p", null, h("a", { href: `/traces?${new URLSearchParams({ session: id })}` }, "Show these traces in the list")),
      table(traces, [
        { label: "Started", cell: (row) => h("a", { href: `/traces/${encodeURIComponent(row.trace_id)}?${new URLSearchParams({ session: id })}` }, at(row.started_at)) },
        { label: "Name", cell: (row) => row.name ?? row.span_name ?? h("span", { class: "mono muted" }, format.head(row.trace_id, 12)) },
        { label: "Duration", cls: "num", cell: (row) => format.duration(row.duration_ms ?? row.ended_at - row.started_at) }, { label: "Spans", cls: "num", cell: (row) => format.count(row.span_count) },
        { label: "Tokens", cls: "num", cell: (row) => format.compact(row.tokens) }, { label: "Cost", cls: "num", cell: (row) => format.costSum(row.cost, row.unpriced_count) },
        { label: "Outcome", cell: (row) => h("span", { class: `outcome ${row.has_error ? "error" : "ok"}` }, icon(row.has_error ? "error" : "ok"), row.has_error ? "Error" : "OK") },
      ], { label: "Traces of the session", isError: (row) => row.has_error }));
  }
}
