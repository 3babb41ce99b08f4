// @ts-check
/** Calls and log records together as they happened, the newest first. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { traceAddress } from "../lib/links.js";
import { outcome, title } from "../lib/outcome.js";
import { SINCE, sinceMs } from "../lib/since.js";
import { h, icon, put, setAttr, setText, time } from "../parts/dom.js";
import { severityNode, showLog } from "../parts/logdetail.js";
import { mountTailList } from "../parts/taillist.js";

/** @type {[string, string][]} */
const TOOLS = [["", "All tools"], ["claude-code", "Claude Code"], ["codex-cli", "Codex"], ["gemini-cli", "Gemini CLI"], ["copilot", "Copilot"], ["aider", "Aider"], ["proxy", "Proxy"]];
/** @type {[string, string][]} */
const TYPES = [["", "Calls and logs"], ["trace", "Calls"], ["log", "Logs"]];
const LOGS_SHOWN = 10;

const isCall = (/** @type {any} */ row) => row.type === "trace";
const isError = (/** @type {any} */ row) => (isCall(row) ? (row.status ?? 0) >= 400 : (row.data?.severity_number ?? 0) >= 17);

/** @type {import("../parts/grid.js").Column[]} */
const COLUMNS = [
  { key: "at", label: "Time", render(cell, row) { setText(cell, `${new Date(row.timestamp).toDateString() === new Date().toDateString() ? "" : `${format.day(row.timestamp)} `}${format.clock(row.timestamp)}`); setAttr(cell, "title", format.iso(row.timestamp)); } },
  { key: "type", label: "Type", render: (cell, row) => { put(cell, h("span", { class: "pill" }, isCall(row) ? "call" : "log")); } },
  { key: "state", label: "Status", render: (cell, row) => { put(cell, isCall(row) ? outcomeNode(row.data ?? row) : severityNode(row.data ?? row)); } },
  { key: "what", label: "What", render(cell, row) { put(cell, h("b", null, isCall(row) ? title(row.data ?? row) : format.visible(row.title ?? "Log")), h("span", { class: "muted" }, format.head(format.visible((isCall(row) ? row.data?.preview_in : row.data?.body) ?? ""), 200))); } },
  { key: "tool", label: "Tool / service", render: (cell, row) => setText(cell, format.visible(row.data?.tool ?? row.service_name ?? row.subtitle ?? "")) },
  { key: "tokens", label: "Tokens", cls: "num", render: (cell, row) => setText(cell, isCall(row) ? estimated(row, format.compact(row.tokens)) : "") },
  { key: "cost", label: "Cost", cls: "num", render: (cell, row) => setText(cell, isCall(row) ? estimated(row, format.cost(row.cost)) : "") },
  { key: "took", label: "Duration", cls: "num", render: (cell, row) => setText(cell, isCall(row) ? format.duration(row.duration_ms) : "") },
];

/** What was only reckoned says so. @param {string} text */
function estimated(row, text) {
  return row.data?.is_estimated && text !== format.NONE ? `~${text}` : text;
}

function outcomeNode(row) {
  const now = outcome({ ...row, error_count: 0 }); // its trace's errors have rows of their own
  return h("span", { class: `outcome ${now.kind}`, title: now.label }, icon(now.icon), now.word);
}

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  return mountTailList(el, state, {
    title: "Timeline", path: "/timeline", placeholder: "Search calls and logs", columns: COLUMNS, one: "entry", many: "entries", isError, hears: { rows: true, log: true },
    keyOf: (row) => `${row.type}/${row.data?.seq ?? row.id}`, idOf: (row) => (isCall(row) ? `trace/${row.data?.trace_id ?? row.id}/${row.id}` : `log/${row.id}`),
    filters: ["q", "tool", "type", "since"], empty: { title: "Nothing has happened yet", text: "Calls and log records appear here together, the newest first." },
    selects: () => [["tool", "Tool", TOOLS], ["type", "Type", TYPES], ["since", "Time", SINCE]],
    ask: async (now, page, signal) => ({ rows: await get("/api/timeline", { q: now.get("q"), tool: now.get("tool"), type: TYPES.some(([id]) => id === now.get("type")) ? now.get("type") : "", date_from: sinceMs(now.get("since"), Date.now()), ...page }, signal) }),
    detail(panel, id, signal) {
      const [type, first, second] = id.split("/");
      if (type === "log") showLog(panel, first, signal);
      else showCall(panel, first, second, signal);
    },
  });
}

/** @param {HTMLElement} el @param {string} trace @param {string} span @param {AbortSignal} signal */
async function showCall(el, trace, span, signal) {
  const [{ detailOf }, logs] = await Promise.all([import("../parts/calldetail.js"), get("/api/logs", { trace_id: trace, limit: LOGS_SHOWN }, signal).catch(() => null)]);
  if (signal.aborted) return;
  await detailOf(el, { trace, span, signal });
  if (signal.aborted || !logs?.logs.length) return;
  el.append(h("section", { class: "record", "aria-label": "Log records of this trace" }, h("h3", null, "Log records of this trace"),
    h("ul", { class: "loglines" }, logs.logs.map((/** @type {any} */ row) => h("li", null, time(row.timestamp, format.clock(row.timestamp, true), format.iso(row.timestamp)), " ", severityNode(row), " ", format.head(format.visible(row.body || row.event_name || ""), 200)))),
    logs.total > LOGS_SHOWN ? h("a", { href: traceAddress(trace, "", "logs") }, `All ${format.count(logs.total)}`) : null));
}
