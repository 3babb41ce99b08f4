// @ts-check
/** One trace: a summary that stays, and tabs for what was said, when, over which wire, and what it cost. */
import { config, get, isAbort } from "../feed/api.js";
import { asCurl, asJavaScript, asPython } from "../lib/code.js";
import * as format from "../lib/format.js";
import { outcome, statusWord, title } from "../lib/outcome.js";
import { countSpans } from "../lib/tree.js";
import { announce, copy, copyButton, debounce, failure, h, icon, iconButton, notice, put, setText, time } from "../parts/dom.js";
import { jsonBlock } from "../parts/json.js";
import { use } from "../parts/keys.js";
import { mountMessages } from "../parts/messages.js";
import { mountRaw } from "../parts/raw.js";
import { mountTabs } from "../parts/tabs.js";
import { mountWaterfall } from "../parts/waterfall.js";

/** @param {HTMLElement} el @param {import("../state.js").State} state @param {{close: () => void, step: (by: number) => void}} list */
export function mountTrace(el, state, list) {
  let shown = { trace: "", span: "" };
  let detail = null;
  let tree = null;
  let tabs = null;
  let waterfall = null;
  let beneath = null;
  let asking = new AbortController();
  let off = null;
  const summary = h("div", { class: "summary" });
  const body = h("div", { class: "detail" });

  /** @param {import("../state.js").Route} route */
  async function show(route, isAgain = false) {
    const query = new URLSearchParams(route.search);
    const next = { trace: route.params.trace, span: query.get("span") ?? "" };
    off ??= use(KEYS);
    if (!isAgain && next.trace === shown.trace && next.span === shown.span) {
      if (tabs && query.get("tab")) tabs.choose(query.get("tab"));
      return;
    }
    const isSame = next.trace === shown.trace && tree && !isAgain;
    shown = next;
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const path = (id, more = "") => `/api/traces/${encodeURIComponent(id)}${more}`;
    const within = next.span ? { trace_id: next.trace } : {}; // a span's id is sure only within its trace
    try {
      if (isSame) {
        detail = await get(path(next.span || next.trace), within, signal);
        showSpan();
        return;
      }
      const [one, all] = await Promise.all([get(path(next.span || next.trace), within, signal), get(path(next.trace, "/tree"), { fields: "summary" }, signal).catch((error) => { if (isAbort(error)) throw error; return null; })]);
      detail = one;
      tree = all;
      build(query.get("tab"));
    } catch (error) {
      if (isAbort(error)) return;
      drop();
      put(el, h("div", { class: "summary" }, closeButton()), error.status === 404
        ? notice("Trace pruned or unknown", "Nothing is stored under this id. The oldest traces make room for new ones when the store is full.", h("a", { class: "button", href: "/traces" }, "All traces"))
        : failure(error, () => show(state.route, true)));
    }
  }

  const isMany = () => tree !== null && (tree.spans?.length > 1 || countSpans(tree.spans ?? []) > 1);

  /** @param {string|null} wanted */
  function build(wanted) {
    drop();
    put(body, summary);
    put(el, body);
    const list = [
      { id: "messages", label: "Messages", build: (panel) => mountMessages(panel, detail) },
      { id: "raw", label: "Request / Response", build: (panel) => mountRaw(panel, detail) },
      { id: "attributes", label: "Attributes", build: attributes },
      { id: "cost", label: "Cost", build: bill },
    ];
    if (isMany()) list.unshift({ id: "waterfall", label: "Waterfall", count: countSpans(tree.spans), build: buildWaterfall });
    tabs = mountTabs(body, { label: "Parts of the trace", tabs: list, onChange: (id) => { state.go(addressWith({ tab: id }), { replace: true, quiet: true }); } });
    showSummary();
    tabs.choose(wanted && list.some((tab) => tab.id === wanted) ? wanted : list[0].id);
  }

  function showSpan() {
    showSummary();
    if (tabs?.chosen === "waterfall" && beneath) showBeneath();
    else tabs?.rebuild();
    waterfall?.select(detail.trace.id);
  }

  /** @param {Record<string, string>} more */
  function addressWith(more) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return `${location.pathname}?${query}`;
  }

  const closeButton = () => [h("button", { type: "button", class: "ghost only-narrow", "aria-label": "Back to the list", onclick: list.close }, icon("back"))];

  function showSummary() {
    const { trace } = detail;
    const state_ = outcome({ ...trace, error_count: isMany() && !trace.parent_id ? trace.error_count : 0 });
    const speed = format.tokensPerSecond(trace);
    const mark = trace.is_estimated ? "~" : "";
    const isCall = Boolean(trace.model || trace.estimated_cost || trace.total_tokens);
    const facts = [
      ["Duration", format.duration(trace.duration_ms)],
      ["TTFT", trace.ttft_ms == null || !trace.is_stream ? null : format.duration(trace.ttft_ms)],
      ["Cost", isCall && h("span", { title: trace.estimated_cost == null ? "unknown price" : format.costExact(trace.estimated_cost) }, format.cost(trace.estimated_cost))],
      ["Tokens in → out", !isCall || (trace.prompt_tokens == null && trace.completion_tokens == null) ? null : [`${mark}${format.count(trace.prompt_tokens ?? 0)} → ${mark}${format.count(trace.completion_tokens ?? 0)} `,
        h("small", null, [trace.cached_tokens && `${format.count(trace.cached_tokens)} cached`, trace.reasoning_tokens && `${format.count(trace.reasoning_tokens)} reasoning`, trace.is_estimated && "estimated"].filter(Boolean).join(", "))]],
      ["Speed", speed === null ? null : [format.rate(speed), h("small", null, " tok/s")]],
      ["Model", trace.model ?? trace.request_model],
      ["Provider", trace.provider],
    ].filter(([, value]) => value != null && value !== "" && value !== false);
    const sum = tree?.trace;
    const links = (name, value, param) => value && h("span", null, `${name} `, h("a", { href: param === "session" ? `/sessions/${encodeURIComponent(value)}` : `/traces?${new URLSearchParams({ [param]: value })}` }, value));
    put(summary,
      h("div", { class: "line1" }, closeButton(), h("span", { class: `outcome ${state_.kind}` }, icon(state_.icon), state_.word), h("h1", { title: title(trace) }, title(trace)),
        state_.kind === "error" ? h("span", { class: "pill is-warn" }, statusWord(trace.status)) : null, h("span", { class: "grow" }),
        iconButton("prev", "Previous trace ([)", () => list.step(-1)), iconButton("next", "Next trace (])", () => list.step(1)), menu(), iconButton("close", "Close (Esc)", list.close)),
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
      isMany() && sum ? h("div", { class: "ids" }, h("span", null, `Whole trace: ${format.plural(sum.span_count, "span")} · ${format.duration(sum.duration_ms)} · ${format.compact(sum.total_tokens)} tokens · ${format.costSum(sum.total_cost, sum.unpriced_count)}`)) : null,
      h("div", { class: "ids" }, h("span", null, time(trace.timestamp, format.stamp(trace.timestamp), format.iso(trace.timestamp))),
        h("span", { class: "mono" }, `trace ${short(trace.trace_id)}`, copyButton(() => trace.trace_id, "Copy trace id")),
        trace.id !== trace.trace_id ? h("span", { class: "mono" }, `span ${short(trace.id)}`, copyButton(() => trace.id, "Copy span id")) : null,
        links("session", trace.session_id, "session"), links("user", trace.user_id, "user"),
        trace.replay_of ? h("span", null, "replay of ", h("a", { href: `/traces/${encodeURIComponent(trace.replay_of)}` }, short(trace.replay_of))) : null,
        (trace.tags ?? []).map((tag) => h("a", { class: "tag", href: `/traces?${new URLSearchParams({ tag })}` }, tag))),
      (trace.notes ?? []).length ? h("div", { class: "ids" }, h("span", null, trace.notes.join(" · "))) : null);
  }

  /** @param {string} id */
  function short(id) {
    return id && id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
  }

  // ---- actions
  async function call() {
    const { proxy_port: port } = await config();
    const { request = {}, trace } = detail;
    const name = (trace.provider ?? "openai").replace(/[^a-z0-9]/gi, "_").toUpperCase();
    return { method: request.method ?? "POST", url: `http://${location.hostname || "localhost"}:${port}${request.path ?? "/v1/chat/completions"}`, headers: request.headers ?? {}, body: request.body, keyName: `${name}_API_KEY` };
  }

  function menu() {
    const hasRequest = Boolean(detail.request?.method);
    const item = (label, run) => h("button", { type: "button", onclick: async () => { details.open = false; await run(); } }, label);
    const details = h("details", { class: "menu" }, h("summary", { class: "ghost", "aria-label": "Copy and export", title: "Copy and export" }, icon("more")), h("div", null,
      hasRequest ? [item("Copy as cURL", async () => copy(asCurl(await call()))), item("Copy as Python", async () => copy(asPython(await call()))), item("Copy as JavaScript", async () => copy(asJavaScript(await call())))] : null,
      item("Copy link", () => copy(location.href)),
      h("a", { href: `/api/traces/${encodeURIComponent(detail.trace.id)}`, download: `trace-${short(detail.trace.id)}.json` }, "Export this span as JSON"),
      isMany() ? h("a", { href: `/api/traces/${encodeURIComponent(shown.trace)}/tree`, download: `trace-${short(shown.trace)}-tree.json` }, "Export the whole trace as JSON") : null));
    details.addEventListener("focusout", (event) => { if (event.relatedTarget && !details.contains(event.relatedTarget)) details.open = false; });
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open) return;
      event.preventDefault();
      details.open = false;
      details.firstChild.focus();
    });
    return details;
  }

  // ---- tabs
  function buildWaterfall(panel) {
    const top = h("div", { class: "waterfall" });
    beneath = h("div", { class: "beneath", role: "region", "aria-label": "Selected span", tabindex: 0 });
    const found = h("span", { class: "muted", role: "status" });
    const find = h("input", { type: "search", "aria-label": "Find in this trace", placeholder: "Find span (/)", oninput: debounce(100, () => setText(found, find.value ? format.plural(waterfall.find(find.value), "match", "matches") : (waterfall.find(""), ""))) });
    top.append(h("div", { class: "find" }, h("div", { class: "search" }, icon("search"), find), found, h("span", { class: "grow" }),
      h("button", { type: "button", class: "more", onclick: () => waterfall.foldAll(true) }, "Fold all"), h("button", { type: "button", class: "more", onclick: () => waterfall.foldAll(false) }, "Unfold all")));
    panel.append(top, beneath);
    waterfall = mountWaterfall(top, { roots: tree.spans, onSelect: (span) => pick(span) });
    waterfall.select(detail.trace.id);
    showBeneath();
  }

  const pick = debounce(60, (span) => state.go(addressWith({ span: span.id }), { replace: true }));

  function showBeneath() {
    beneath.replaceChildren();
    beneath.scrollTop = 0;
    mountMessages(beneath, detail);
  }

  function attributes(panel) {
    const { trace } = detail;
    const rows = Object.entries(trace).filter(([name, value]) => value != null && value !== "" && !(Array.isArray(value) && !value.length) && !["cost_detail", "preview_in", "preview_out"].includes(name));
    const own = detail.attributes ?? {};
    panel.append(h("div", { class: "messages" }, h("h2", null, "Recorded"), h("dl", { class: "pairs mono" }, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, typeof value === "object" ? JSON.stringify(value) : String(value))))),
      h("h2", null, "Attributes"), Object.keys(own).length ? jsonBlock(own, "attributes", { open: 3 }) : h("p", { class: "muted" }, "None were sent with this span.")));
  }

  function bill(panel) {
    const { trace } = detail;
    const cost = trace.cost_detail ?? {};
    const lines = cost.lines ?? [];
    const unit = (line) => (line.unit === "token" ? `${format.perMillion(line.price)} / 1M` : `${format.costExact(line.price)} / ${line.unit}`);
    const key = trace.price_key ?? cost.price_key;
    panel.append(h("div", { class: "messages" }, lines.length ? h("div", { class: "scroll" }, h("table", null,
      h("thead", null, h("tr", null, ["Class", "Quantity", "Price", "Amount"].map((name, i) => h("th", { class: i ? "num" : null, scope: "col" }, name)))),
      h("tbody", null, lines.map((line) => h("tr", null, h("td", null, line.name), h("td", { class: "num" }, `${format.count(line.quantity)} ${line.unit === "token" ? "" : line.unit}`), h("td", { class: "num" }, unit(line)), h("td", { class: "num" }, format.costExact(line.amount))))),
      h("tfoot", null, h("tr", null, h("td", { colspan: 3 }, "Total"), h("td", { class: "num" }, format.costExact(trace.estimated_cost))))))
      : h("p", null, trace.estimated_cost == null ? "The price of this model is unknown, so no cost is shown: LLMFlow does not guess." : `Cost ${format.costExact(trace.estimated_cost)}, without a breakdown.`),
      h("p", { class: "muted" }, [key && `Price of ${key}`, cost.price_date && `table of ${cost.price_date}`, cost.quality && cost.quality !== "none" && `match: ${cost.quality}`, trace.is_estimated && "tokens estimated"].filter(Boolean).join(" · "))));
  }

  function drop() {
    waterfall?.destroy();
    waterfall = null;
    beneath = null;
    tabs = null;
    el.replaceChildren();
  }

  /** @type {import("../parts/keys.js").KeyMap} */
  const KEYS = {
    "[": () => list.step(-1), "]": () => list.step(1),
    y: () => copy(location.href), Y: async () => { if (detail) await copy(asCurl(await call())); announce("Copied as cURL"); },
    "/": () => {
      const find = el.contains(document.activeElement) && el.querySelector(".find input");
      if (!find) return false;
      /** @type {HTMLElement} */ (find).focus();
      return true;
    },
  };
  for (let n = 1; n <= 5; n += 1) KEYS[n] = () => tabs?.nth(n - 1);

  return {
    show,
    reload: () => show(state.route, true),
    close: list.close,
    clear() {
      asking.abort();
      off?.();
      off = null;
      shown = { trace: "", span: "" };
      detail = null;
      tree = null;
      drop();
    },
  };
}
