// @ts-check
/** Sessions: the table, and one of them told again: what was said turn by turn, what each turn took and cost. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { addressWith, callsAddress, traceAddress } from "../lib/links.js";
import { debounce, h, icon, notice, time } from "../parts/dom.js";
import { card, listening, mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";

const LIMIT = 50;

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  /** @type {{update: () => void, reload: () => void, unmount: () => void}|null} */
  let part = null;
  let shown = /** @type {string|undefined} */ ("nothing yet");
  return {
    update() {
      const { session } = state.route.params;
      if (part && session === shown) return part.update();
      part?.unmount();
      el.replaceChildren();
      shown = session;
      part = session === undefined ? mountAll(el, state) : mountOne(el, state, session);
      part.update();
      return undefined;
    },
    reload: () => part?.reload(),
    unmount: () => part?.unmount(),
  };
}

// ---- the table
/** @param {HTMLElement} el @param {import("../state.js").State} state */
function mountAll(el, state) {
  const box = h("input", { type: "search", "aria-label": "Search sessions", placeholder: "Session, user, agent or service", autocomplete: "off", spellcheck: "false" });
  const params = () => new URLSearchParams(state.route.search);
  const page = () => Math.max(1, Math.trunc(Number(params().get("page"))) || 1);
  const go = (/** @type {Record<string, string>} */ changes, isTyping = false) => state.go(addressWith("/sessions", state.route.search, changes), { replace: isTyping });
  const typed = debounce(250, () => go({ q: box.value.trim(), page: "" }, true));
  box.addEventListener("input", typed);
  const screen = mountScreen(el, {
    cls: "sessions", head: [h("h1", null, "Sessions"), h("label", { class: "search" }, icon("search"), box)],
    ask: (signal) => get("/api/sessions", { limit: LIMIT, offset: (page() - 1) * LIMIT, q: params().get("q") }, signal),
    show: (body, answer) => showAll(body, answer, { q: params().get("q") ?? "", page: page(), go, address: (to) => addressWith("/sessions", state.route.search, { page: to > 1 ? String(to) : "" }) }),
  });
  state.live.subscribe({});
  state.live.listen({ logs: true });
  const deaf = listening(state.live, { rows: screen.renew, log: screen.renew, refresh: screen.renew });
  return {
    ...screen,
    update() {
      document.title = "Sessions · LLMFlow";
      if (document.activeElement !== box) box.value = params().get("q") ?? "";
      screen.update();
    },
    unmount() {
      typed.cancel();
      leave(state, deaf);
      screen.unmount();
    },
  };
}

/** @param {import("../state.js").State} state @param {() => void} deaf */
function leave(state, deaf) {
  deaf();
  state.live.subscribe(null);
  state.live.listen(null);
}

/** @param {HTMLElement} body @param {{q: string, page: number, go: (changes: Record<string, string>) => void, address: (page: number) => string}} at */
function showAll(body, { sessions, total }, { q, page, go, address }) {
  if (!sessions.length) {
    const [title, text, action] = q ? ["No session matches", `Nothing is called “${q}”: looked for in ids, users, agents and services.`, h("button", { type: "button", class: "button primary", onclick: () => go({ q: "", page: "" }) }, "Clear the search")]
      : page > 1 ? ["There are no more sessions", "", h("a", { class: "button", href: "/sessions" }, "To the first")]
        : ["No sessions yet", "A session groups the calls that carry the same X-LLMFlow-Session-Id header or session.id attribute; coding agents name theirs by themselves.", h("a", { class: "button primary", href: "/setup#headers" }, "See how")];
    body.append(notice(title, text, action));
    return;
  }
  const num = (/** @type {string} */ label, /** @type {(row: any) => any} */ cell) => ({ label, cls: "num", cell });
  body.append(table(sessions, [
    { label: "Session", isHead: true, cell: (row) => [h("a", { class: "mono", href: `/sessions/${encodeURIComponent(row.session_id)}` }, format.visible(row.session_id)), row.models?.length ? h("small", null, row.models.map(format.visible).join(", ")) : null] },
    { label: "Agent / service", cell: (row) => [agentOf(row), row.agent_name && row.service_name && row.service_name !== row.agent_name ? h("small", null, format.visible(row.service_name)) : null] }, { label: "User", cell: (row) => (row.user_id == null ? format.NONE : format.visible(row.user_id)) },
    { label: "First", cell: (row) => at(row.first_seen) }, { label: "Last", cell: (row) => at(row.last_seen) },
    num("Traces", (row) => [format.count(row.trace_count), row.turns && row.turns !== row.trace_count ? h("small", null, format.plural(row.turns, "turn")) : null]), num("Tool calls", (row) => format.count(row.tool_calls)), num("Logs", (row) => format.count(row.log_count)),
    num("Tokens", (row) => format.compact(row.total_tokens)), num("Errors", (row) => (row.error_count ? h("span", { class: "outcome error" }, icon("error"), format.count(row.error_count)) : "0")), num("Cost", (row) => format.costSum(row.total_cost, row.unpriced_count)),
  ], { label: "Sessions" }), pager(page, Math.ceil(total / LIMIT), total, address));
}

function agentOf(row) {
  const name = row.agent_name ?? row.service_name;
  return name == null ? format.NONE : format.visible(name);
}

/** @param {number} ms */
const at = (ms) => time(ms, format.stamp(ms), format.iso(ms));

/** @param {number} page @param {number} pages @param {number} total @param {(page: number) => string} address */
function pager(page, pages, total, address) {
  const link = (/** @type {string} */ label, /** @type {number} */ to) => (to >= 1 && to <= pages ? h("a", { class: "button", href: address(to) }, label) : null);
  return h("nav", { class: "pager", "aria-label": "Pages" }, link("Newer", page - 1), h("span", { class: "muted" }, pages > 1 ? `Page ${page} of ${pages}, ${format.plural(total, "session")}` : format.plural(total, "session")), link("Older", page + 1));
}

// ---- one session
/** @param {HTMLElement} el @param {import("../state.js").State} state @param {string} id */
function mountOne(el, state, id) {
  const leaving = new AbortController();
  const known = new Map();
  const screen = mountScreen(el, {
    cls: "session", styles: ["/css/trace.css"],
    head: [h("a", { class: "ghost", href: "/sessions", "aria-label": "All sessions", title: "All sessions" }, icon("back")), h("h1", null, "Session ", h("span", { class: "mono" }, format.visible(id)))],
    async ask(signal) {
      try {
        return await get(`/api/sessions/${encodeURIComponent(id)}`, {}, signal);
      } catch (error) {
        if (/** @type {any} */ (error).status === 404) return { traces: null };
        throw error;
      }
    },
    show: (body, answer) => { showOne(body, answer, id, leaving.signal, known); },
  });
  state.live.subscribe({ session_id: id });
  const deaf = listening(state.live, { rows: screen.renew, refresh: screen.renew });
  document.title = `${format.visible(id)} · LLMFlow`;
  return {
    ...screen,
    unmount() {
      leaving.abort();
      leave(state, deaf);
      screen.unmount();
    },
  };
}

/** @param {HTMLElement} body @param {string} id @param {AbortSignal} signal @param {Map<string, any>} known turns that were asked for already */
async function showOne(body, answer, id, signal, known) {
  const { traces, summary } = answer;
  if (!traces) {
    body.append(notice("This session is not here", "It was never recorded, or its traces made room for newer ones.", h("a", { class: "button", href: "/sessions" }, "All sessions")));
    return;
  }
  const sum = (/** @type {string} */ name) => traces.reduce((/** @type {number} */ all, /** @type {any} */ one) => all + (one[name] ?? 0), 0);
  const models = [...new Set(traces.flatMap((/** @type {any} */ one) => one.models ?? []))];
  body.append(h("dl", { class: "cards" },
    card("Traces", h("a", { href: callsAddress({ session_id: id }) }, format.count(traces.length)), sum("turns") ? format.plural(sum("turns"), "turn") : `${format.plural(summary.spans, "span")}`),
    card("Tool calls", format.count(answer.tool_calls ?? sum("tool_calls")), summary.logs ? h("a", { href: `/logs?${new URLSearchParams({ session: id })}` }, format.plural(summary.logs, "log record")) : null),
    card("Tokens", format.compact(summary.tokens)), card("Cost", format.costSum(summary.cost, summary.unpriced_count), summary.unpriced_count ? `${format.plural(summary.unpriced_count, "call")} of unknown price` : null),
    card("Errors", summary.errors ? h("a", { href: callsAddress({ session_id: id, status: "error" }) }, format.count(summary.errors)) : "0"),
    card("From start to end", format.duration(answer.last_seen - answer.first_seen), [at(answer.first_seen)])),
  h("p", { class: "muted" }, [answer.agent_name, answer.service_name, answer.user_id && `user ${answer.user_id}`, ...models].filter(Boolean).map((one) => h("span", { class: "tag" }, format.visible(one)))));
  const { mountReplay } = await import("../parts/replay.js");
  if (!body.isConnected || signal.aborted) return;
  mountReplay(body, traces, {
    signal, known, address: traceAddress, tree: (trace) => get(`/api/traces/${encodeURIComponent(trace)}/tree`, { fields: "summary" }, signal),
    detail: (span, trace) => get(`/api/traces/${encodeURIComponent(span)}`, { trace_id: trace }, signal),
  });
}
