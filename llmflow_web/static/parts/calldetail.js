// @ts-check
/** One call in short, beside a list: what became of it, what was said, and the way to the whole. */
import { get, isAbort } from "../feed/api.js";
import * as format from "../lib/format.js";
import { traceAddress } from "../lib/links.js";
import { outcome, title } from "../lib/outcome.js";
import { failure, h, icon, notice, put, time } from "./dom.js";
import { cards } from "./messages.js";

const SHOWN = 6; // messages; the rest is in the trace

/** @param {HTMLElement} el @param {{trace: string, span: string, signal: AbortSignal}} which */
export async function detailOf(el, which) {
  const { trace, span, signal } = which;
  el.setAttribute("aria-busy", "true");
  try {
    put(el, inShort(await get(`/api/traces/${encodeURIComponent(span || trace)}`, span ? { trace_id: trace } : {}, signal)));
  } catch (error) {
    if (isAbort(error) || signal.aborted) return;
    put(el, /** @type {any} */ (error).status === 404 ? notice("Trace pruned or unknown", "The oldest traces make room for new ones.") : failure(error, () => { detailOf(el, which); }));
  }
  el.removeAttribute("aria-busy");
}

function inShort({ trace: row, messages }) {
  const now = outcome(row);
  const sign = row.is_estimated ? "~" : "";
  const facts = /** @type {[string, any][]} */ ([
    ["Status", h("span", { class: `outcome ${now.kind}` }, icon(now.icon), now.label)], ["Time", time(row.timestamp, format.stamp(row.timestamp), format.iso(row.timestamp))], ["Model", row.model && format.visible(row.model)], ["Provider", row.provider && format.visible(row.provider)],
    ["Duration", format.duration(row.duration_ms)], ["Tokens", row.total_tokens == null ? format.NONE : `${sign}${format.count(row.prompt_tokens)} → ${sign}${format.count(row.completion_tokens)}`], ["Cost", row.estimated_cost == null ? format.NONE : `${sign}${format.cost(row.estimated_cost)}`],
    ["Session", row.session_id && h("a", { href: `/sessions/${encodeURIComponent(row.session_id)}` }, format.visible(row.session_id))],
  ]).filter(([, value]) => value);
  const said = [...(messages?.input ?? []), ...(messages?.output ?? [])];
  const address = traceAddress(row.trace_id, row.parent_id ? row.id : "");
  return h("article", { class: "record" }, h("header", null, h("h2", null, title(row)), h("a", { class: "button primary", href: address }, "Open the trace")),
    h("dl", { class: "pairs" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    row.error ? h("p", { class: "refusal" }, icon("error"), h("span", null, format.head(String(row.error), 500))) : null,
    said.length > SHOWN ? h("p", { class: "muted" }, `The last ${SHOWN} of ${said.length} messages`) : null, cards(said.slice(-SHOWN)).filter(Boolean));
}
