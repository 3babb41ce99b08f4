// @ts-check
/** One trace: a summary that stays, and tabs for what was said, when, over which wire, with which attributes and log lines. */
import { get, isAbort } from "../feed/api.js";
import { fromSearch, term, toSearch } from "../lib/filter.js";
import { count } from "../lib/format.js";
import { callBefore } from "../lib/history.js";
import { flatten } from "../lib/tree.js";
import { announce, copy, debounce, failure, h, notice, put, stylesheet } from "../parts/dom.js";
import { use } from "../parts/keys.js";
import { backButton, showSummary, tick } from "../parts/summary.js";
import { mountTabs } from "../parts/tabs.js";

const TABS = /** @type {const} */ ([["messages", "Messages"], ["waterfall", "Waterfall"], ["raw", "Request / Response"], ["attributes", "Attributes"], ["logs", "Logs"]]);
const RENEW_MS = 700; // a trace that still grows is asked for again at most this often

/** @param {HTMLElement} el @param {import("../state.js").State} state @param {{close: () => void, step: (by: number) => void}} list */
export function mountTrace(el, state, list) {
  const shown = { trace: "", span: "", detail: /** @type {any} */ (null), tree: /** @type {any} */ (null), rows: /** @type {import("../lib/tree.js").Row[]} */ ([]), spans: /** @type {any[]} */ ([]) };
  let tabs = /** @type {ReturnType<typeof mountTabs>|null} */ (null);
  let find = /** @type {ReturnType<typeof import("../parts/find.js").mountFind>|null} */ (null);
  let waterfall = /** @type {any} */ (null);
  let beneath = /** @type {HTMLElement|null} */ (null);
  let menu = /** @type {any} */ (null);
  let asking = new AbortController();
  /** @type {(() => void)[]} */
  let offs = [];
  const summary = h("div", { class: "summary" });
  const body = h("div", { class: "detail" });

  /** @param {import("../state.js").Route} route */
  async function show(route, isAgain = false) {
    const query = new URLSearchParams(route.search);
    const next = { trace: route.params.trace, span: query.get("span") ?? "" };
    listen();
    const isSame = next.trace === shown.trace && Boolean(tabs) && !isAgain;
    if (isSame && next.span === shown.span) return follow(query);
    shown.trace = next.trace;
    shown.span = next.span;
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    import("../parts/messages.js"); // needed whatever is shown first: let it come with the answers
    try {
      if (isSame) {
        const detail = await ask(signal);
        shown.detail = detail;
        showSpan();
        return follow(query);
      }
      shown.spans = [];
      const coming = ask(signal).catch((error) => error);
      const [first, tree] = await Promise.all([coming, askTree(signal), stylesheet("/css/trace.css")]);
      let detail = first;
      if (first instanceof Error) {
        take(null, tree);
        if (traceOf(shown.span) === shown.trace) throw first;
        detail = await ask(signal);
      }
      if (signal.aborted) return undefined;
      take(detail, tree);
      await build(query);
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) showFailure(error);
    }
    return undefined;
  }

  /** @param {AbortSignal} signal */
  function ask(signal) {
    return get(`/api/traces/${encodeURIComponent(shown.span || shown.trace)}`, shown.span ? { trace_id: traceOf(shown.span) } : {}, signal);
  }

  /** A span's id is sure only within its trace; a call that an application's span was joined to may be of another. @param {string} id */
  function traceOf(id) {
    return shown.spans.find((span) => span.id === id)?.trace_id ?? shown.trace;
  }

  /** @param {AbortSignal} signal */
  function askTree(signal) {
    return get(`/api/traces/${encodeURIComponent(shown.trace)}/tree`, { fields: "summary" }, signal).catch((error) => {
      if (isAbort(error)) throw error;
      return null; // one call can be shown without its trace
    });
  }

  function take(detail, tree) {
    shown.detail = detail;
    shown.tree = tree;
    shown.rows = flatten(tree?.spans ?? [], new Set());
    shown.spans = shown.rows.map((row) => row.span);
  }

  function showFailure(error) {
    drop();
    const isGone = error.status === 404;
    put(el, h("div", { class: "summary" }, backButton(list.close)), isGone
      ? notice("Trace pruned or unknown", "Nothing is stored under this id. The oldest traces make room for new ones when the store is full.", h("a", { class: "button", href: "/traces" }, "All traces"))
      : failure(error, () => show(state.route, true)));
  }

  const isMany = () => shown.spans.length > 1;
  const firstTab = () => (isMany() ? "waterfall" : "messages");

  /** @param {URLSearchParams} query */
  async function build(query) {
    drop();
    put(body, summary);
    put(el, body);
    const parts = { messages: buildMessages, waterfall: buildWaterfall, raw: buildRaw, attributes: buildAttributes, logs: buildLogs };
    tabs = mountTabs(body, {
      label: "Parts of the trace", onChange: (id) => { go({ tab: id === firstTab() ? "" : id }); },
      tabs: TABS.map(([id, label]) => ({ id, label, count: id === "waterfall" && isMany() ? /** @type {any} */ (count(shown.spans.length)) : null, build: parts[id] })),
    });
    showHead();
    follow(query);
  }

  /** What of the address needs no question to the server. @param {URLSearchParams} query */
  function follow(query) {
    const tab = query.get("tab") ?? "";
    tabs?.choose(TABS.some(([id]) => id === tab) ? tab : firstTab());
    showTab(/** @type {HTMLElement|null} */ (body.querySelector(".tab[aria-selected=true]")));
    const wanted = query.get("find") ?? "";
    if (wanted || find) bringFind().then((one) => one?.show(wanted));
  }

  /** On a narrow screen the tabs reach beyond the edge. scrollIntoView would also move where Tab goes on. @param {HTMLElement|null} tab */
  function showTab(tab) {
    const strip = tab?.parentElement;
    if (tab && strip) strip.scrollLeft = Math.max(Math.min(strip.scrollLeft, tab.offsetLeft - 8), tab.offsetLeft + tab.offsetWidth + 8 - strip.clientWidth);
  }

  function showSpan() {
    showHead();
    if (tabs?.chosen === "waterfall" && beneath) showBeneath();
    else tabs?.rebuild();
    waterfall?.select(shown.detail.trace.id);
  }

  function showHead() {
    menu?.remove();
    menu = h("span", { class: "menu-place" });
    const place = menu;
    const { detail } = shown;
    import("../parts/actions.js").then(({ actionMenu }) => place.replaceWith(actionMenu({ detail, trace: shown.trace, state, close: list.close })));
    showSummary(summary, { detail, tree: shown.tree, isMany: isMany(), list, menu, addressOf, now: Date.now, twin: shown.spans.find((span) => span.joined_to && String(span.joined_to).split("/").pop() === detail.trace.id && span.id !== detail.trace.id) });
  }

  /** @param {Record<string, string>} more */
  function addressWith(more) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(more)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    return `${location.pathname}${text ? `?${text}` : ""}`;
  }

  /** @param {string} span */
  const addressOf = (span) => addressWith({ span });

  /** @param {Record<string, string>} more @param {boolean} [replace] */
  function go(more, replace = false) {
    state.go(addressWith(more), { replace });
  }

  // ---- the tabs
  /** What lies in a file of its own comes when its tab is looked at. @template M @param {HTMLElement} panel @param {Promise<M>} coming @param {(module: M) => void} then */
  function bring(panel, coming, then) {
    const mine = panel.dataset.tab;
    const detail = shown.detail;
    panel.setAttribute("aria-busy", "true");
    coming.then((module) => {
      if (!panel.isConnected || panel.dataset.tab !== mine || shown.detail !== detail) return;
      panel.replaceChildren();
      then(module);
      panel.removeAttribute("aria-busy");
    }).catch((error) => { if (panel.isConnected && panel.dataset.tab === mine) put(panel, failure(error, () => tabs?.rebuild())); });
  }

  /** @param {HTMLElement} panel */
  function buildMessages(panel) {
    bring(panel, import("../parts/messages.js"), ({ mountMessages }) => mountMessages(panel, shown.detail, around()));
  }

  /** The trace that the shown call stands in, as far as its messages need it. */
  function around() {
    const before = callBefore(shown.spans, shown.detail.trace.id);
    return {
      spans: shown.spans, onSpan: (/** @type {any} */ span) => go({ span: span.id, tab: tabs?.chosen === "waterfall" ? "waterfall" : "" }),
      before: before ? async () => {
        const { messages } = await get(`/api/traces/${encodeURIComponent(before.id)}`, { trace_id: traceOf(before.id) }, asking.signal);
        return [...(messages?.input ?? []), ...(messages?.output ?? [])];
      } : undefined,
    };
  }

  /** @param {HTMLElement} panel */
  function buildWaterfall(panel) {
    bring(panel, import("../parts/waterfall.js"), ({ mountWaterfall }) => {
      waterfall?.destroy();
      const top = h("div", { class: "waterfall" });
      beneath = h("div", { class: "beneath", role: "region", "aria-label": "Selected span", tabindex: 0 });
      panel.append(top, beneath);
      waterfall = mountWaterfall(top, { roots: shown.tree?.spans ?? [{ ...shown.detail.trace, children: [] }], rows: shown.rows, trace: shown.trace, onSelect: (span, { how }) => (how === "key" ? pickSoon(span.id) : pick(span.id, false)) });
      waterfall.select(shown.detail.trace.id);
      find?.renew();
      showBeneath();
    });
  }

  /** A click makes a step in the history, walking with the arrows does not. @param {string} id @param {boolean} replace */
  function pick(id, replace) {
    pickSoon.cancel();
    go({ span: id }, replace);
  }
  const pickSoon = debounce(60, (/** @type {string} */ id) => pick(id, true));

  function showBeneath() {
    const box = /** @type {HTMLElement} */ (beneath);
    const { detail } = shown;
    waterfall?.showEvents([]);
    if (detail.otlp?.events?.length) import("../parts/attributes.js").then(({ eventTime }) => waterfall?.showEvents(detail.otlp.events.map(eventTime).filter((ms) => ms != null)));
    import("../parts/messages.js").then(({ mountMessages }) => {
      if (!box.isConnected || detail !== shown.detail) return;
      box.replaceChildren();
      box.scrollTop = 0;
      mountMessages(box, detail, around());
      const more = (detail.otlp?.events?.length ?? 0) + (detail.otlp?.links?.length ?? 0);
      if (more) box.append(h("p", { class: "pad" }, h("button", { type: "button", class: "more", onclick: () => go({ tab: "attributes" }) }, `Events and links (${count(more)})`)));
    });
  }

  /** @param {HTMLElement} panel */
  function buildRaw(panel) {
    bring(panel, import("../parts/raw.js"), ({ mountRaw }) => mountRaw(panel, shown.detail));
  }

  /** @param {HTMLElement} panel */
  function buildAttributes(panel) {
    bring(panel, import("../parts/attributes.js"), ({ mountAttributes }) => mountAttributes(panel, shown.detail, {
      onFilter: addFilter, addressOf: (trace, span) => (trace === shown.trace ? addressWith({ span, tab: "" }) : `/traces/${encodeURIComponent(trace)}?${new URLSearchParams({ span })}`),
    }));
  }

  /** @param {HTMLElement} panel */
  function buildLogs(panel) {
    bring(panel, import("../parts/tracelogs.js"), ({ mountTraceLogs }) => mountTraceLogs(panel, {
      trace: shown.trace, span: shown.detail.trace.id, signal: asking.signal, start: shown.tree?.trace?.start_time ?? shown.detail.trace.timestamp, onSpan: (id) => go({ span: id, tab: "" }),
    }));
  }

  // ---- find, filter, live
  async function bringFind() {
    if (find) return find;
    const at = tabs;
    const { mountFind } = await import("../parts/find.js");
    if (find || !at || at !== tabs) return find;
    const place = h("div", null);
    at.panel.before(place);
    find = mountFind(place, {
      root: at.panel, trace: () => shown.trace, spans: () => shown.spans, waterfall: () => waterfall, isTree: () => tabs?.chosen === "waterfall",
      onChange: (text) => state.go(addressWith({ find: text }), { replace: true, quiet: true }),
    });
    return find;
  }

  /** A value into the list's search, kept in the same address. @param {string} field @param {string} value @param {boolean} isNot */
  function addFilter(field, value, isNot) {
    const filter = fromSearch(location.search);
    const word = field ? term(field, value) : `"${value.replaceAll('"', "")}"`;
    const query = new URLSearchParams(toSearch({ ...filter, q: `${filter.q} ${isNot ? "-" : ""}${word}`.trim() }));
    for (const name of ["span", "tab", "find"]) {
      const kept = new URLSearchParams(location.search).get(name);
      if (kept) query.set(name, kept);
    }
    state.go(`${location.pathname}?${query}`);
    announce(isNot ? "Left out of the list" : "Added to the list's filter");
  }

  el.addEventListener("click", (event) => {
    if (!event.altKey || !(event.target instanceof Element)) return;
    const value = /** @type {HTMLElement|null} */ (event.target.closest("[data-value]"));
    if (!value) return;
    event.preventDefault();
    addFilter(value.dataset.field ?? "", value.dataset.value ?? "", event.shiftKey);
  });

  /** More of this trace has come: ask again, leaving fold, selection and scroll alone. */
  async function renew() {
    if (!shown.trace || document.hidden) return;
    if (!tabs) return void show(state.route, true);
    try {
      const { signal } = asking;
      const before = shown.detail;
      const isOpen = before.trace.running || !before.trace.duration_ms;
      const [detail, tree] = await Promise.all([isOpen ? ask(signal) : before, askTree(signal)]);
      if (signal.aborted || !tabs) return;
      const wasMany = isMany();
      take(detail, tree ?? shown.tree);
      if (wasMany !== isMany()) return void build(new URLSearchParams(location.search));
      showHead();
      if (shown.tree) waterfall?.update(shown.tree.spans, shown.rows);
      if (detail.trace.running !== before.trace.running || JSON.stringify(detail.messages) !== JSON.stringify(before.messages)) showSpan();
    } catch { /* it stays as it was */ }
  }

  let renewal = 0;
  /** @param {{detail: {op: string, rows: any[]}}} event */
  function onRows({ detail: { op, rows } }) {
    if (!shown.trace || !rows.some((row) => row.trace_id === shown.trace)) return;
    if (op === "delete") showFailure({ status: 404 });
    else renewal ||= window.setTimeout(() => { renewal = 0; renew(); }, RENEW_MS);
  }

  function listen() {
    if (offs.length) return;
    state.live.addEventListener("rows", /** @type {any} */ (onRows));
    const ticker = setInterval(() => { if (shown.detail?.trace.running && !document.hidden) tick(summary, shown.detail.trace, Date.now()); }, 500);
    offs = [use(KEYS), () => state.live.removeEventListener("rows", /** @type {any} */ (onRows)), () => clearInterval(ticker)];
  }

  function drop() {
    find?.destroy();
    find = null;
    waterfall?.destroy();
    waterfall = null;
    beneath = null;
    tabs = null;
    pickSoon.cancel();
    el.replaceChildren();
  }

  const hasFocus = () => el.contains(document.activeElement);

  /** In the waterfall the tree itself answers these; here they work from anywhere in the detail. @param {(tree: any) => void} run */
  const onTree = (run) => () => {
    if (!waterfall || tabs?.chosen !== "waterfall" || !hasFocus()) return false;
    run(waterfall);
    return true;
  };

  const withActions = async (/** @type {(actions: typeof import("../parts/actions.js")) => any} */ run) => { if (shown.detail) await run(await import("../parts/actions.js")); };

  /** @type {import("../parts/keys.js").KeyMap} */
  const KEYS = {
    "[": () => list.step(-1), "]": () => list.step(1), y: () => { copy(location.href); }, Y: () => { withActions((actions) => actions.copyAs(shown.detail, "asCurl")); },
    r: () => {
      if (!hasFocus() || !shown.detail) return false;
      withActions((actions) => actions.again({ detail: shown.detail, state }));
      return true;
    },
    c: () => { withActions((actions) => actions.compare({ trace: shown.trace, state })); },
    "/": () => {
      if (!hasFocus() || !tabs) return false;
      bringFind().then((one) => one?.open());
      return true;
    },
    Escape: () => {
      if (!find?.isOpen || !hasFocus()) return false;
      find.close();
      return true;
    },
    e: onTree((tree) => tree.nextError(1)), E: onTree((tree) => tree.nextError(-1)), o: onTree((tree) => tree.foldAll(true)), O: onTree((tree) => tree.foldAll(false)),
    "+": onTree((tree) => tree.zoom(2)), "=": onTree((tree) => tree.zoom(2)), "-": onTree((tree) => tree.zoom(0.5)), 0: onTree((tree) => tree.fit()),
  };
  for (let n = 1; n <= TABS.length; n += 1) KEYS[n] = () => tabs?.nth(n - 1);

  return {
    show,
    reload: () => show(state.route, true),
    close: list.close,
    focus: () => /** @type {HTMLElement|null} */ (summary.querySelector("h1"))?.focus(),
    clear() {
      asking.abort();
      clearTimeout(renewal);
      renewal = 0;
      for (const off of offs) off();
      offs = [];
      Object.assign(shown, { trace: "", span: "", detail: null, tree: null, rows: [], spans: [] });
      drop();
    },
  };
}
