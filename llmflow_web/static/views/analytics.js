// @ts-check
/** What it all came to: figures, charts over time and top lists, each leading to the calls it is made of. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { addressWith, callsAddress } from "../lib/links.js";
import { columns, lines, topBars } from "../parts/chart.js";
import { debounce, h, icon, notice } from "../parts/dom.js";
import { card, choice, listening, mountScreen } from "../parts/page.js";

/** @type {[string, string][]} */
const RANGES = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"], ["90d", "Last 90 days"]];
/** @type {[string, string, string][]} */
const GROUPS = [["model", "Model", "model"], ["provider", "Provider", "provider"], ["tag", "Tag", "tag"], ["user_id", "User", "user"], ["tool", "Tool", "tool"], ["service_name", "Service", "service"]];
const TOP = 10;
const DEFAULT = { since: "7d", by: "model" };

/** Earlier addresses said `days=7`. @param {string} search */
function chosen(search) {
  const params = new URLSearchParams(search);
  const days = Number(params.get("days"));
  const since = params.get("since") ?? (days > 1 ? `${Math.trunc(days)}d` : days === 1 ? "24h" : DEFAULT.since);
  const by = params.get("by") ?? "";
  return { since: /^\d{1,4}[smhdw]$/.test(since) ? since : DEFAULT.since, by: GROUPS.some(([id]) => id === by) ? by : DEFAULT.by, q: params.get("q") ?? "" };
}

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const range = h("span");
  const box = h("input", { type: "search", "aria-label": "Filter", placeholder: "Filter: model:gpt-4o tag:production …", autocomplete: "off", spellcheck: "false" });
  const go = (/** @type {Record<string, string>} */ changes, isTyping = false) => state.go(addressWith("/analytics", state.route.search, { days: null, ...changes }), { replace: isTyping });
  const typed = debounce(300, () => go({ q: box.value.trim() }, true));
  box.addEventListener("input", typed);
  const screen = mountScreen(el, {
    cls: "analytics", head: [h("h1", null, "Analytics"), h("a", { href: "/budgets" }, "Budgets"), range, h("label", { class: "search" }, icon("search"), box)],
    ask: (signal) => ask(chosen(state.route.search), signal), show: (body, answer) => show(body, answer, chosen(state.route.search), go),
  });
  // the totals tell that something has come; a figure that is being looked at stays
  const renew = () => { if (!state.live.isPaused && !screen.body.querySelector(".plot:is(:hover, :focus-within)")) screen.renew(); };
  const deaf = listening(state.live, { stats: renew, refresh: renew });
  return {
    ...screen,
    update() {
      const now = chosen(state.route.search);
      if (document.activeElement !== box) box.value = now.q;
      const focused = document.activeElement?.getAttribute("aria-label");
      range.replaceChildren(choice("Range", RANGES, now.since, (since) => go({ since })), " ", choice("Split charts by", GROUPS.map(([id, label]) => [id, `by ${label.toLowerCase()}`]), now.by, (by) => go({ by })));
      if (focused && !document.activeElement?.getAttribute("aria-label")) /** @type {HTMLElement|null} */ (range.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
      screen.update();
    },
    unmount() {
      typed.cancel();
      deaf();
      screen.unmount();
    },
  };
}

/** @typedef {ReturnType<typeof chosen>} Chosen */

/** @param {Chosen} now @param {AbortSignal} signal */
async function ask({ since, by, q }, signal) {
  const asked = { since, filter: q };
  const [all, split, ...tops] = await Promise.all([
    get("/api/analytics/series", asked, signal), get("/api/analytics/series", { ...asked, by, fields: "cost,requests,unpriced_count" }, signal),
    ...GROUPS.map(([id]) => get("/api/analytics/top", { ...asked, by: id, limit: TOP }, signal)),
  ]);
  return { all, split, tops };
}

/** @param {HTMLElement} body @param {Chosen} now @param {(changes: Record<string, string>) => void} go */
function show(body, { all, split, tops }, now, go) {
  const { total } = all;
  if (!total.requests) {
    body.append(notice(now.q ? "No call matches in this time" : "No calls in this time", now.q ? "Take the filter away or choose a longer range." : "Choose a longer range, or send a first call.", h("div", { class: "bulk" },
      now.q ? h("button", { type: "button", class: "button primary", onclick: () => go({ q: "" }) }, "Clear the filter") : h("button", { type: "button", class: "button primary", onclick: () => go({ since: "90d" }) }, "Last 90 days"), h("a", { class: "button", href: "/setup" }, "Setup"))));
    return;
  }
  body.append(...[all.note, unpriced(total, all.filter)].filter(Boolean).map((text) => h("p", { class: "hint" }, text)), cards(total, all.filter), h("div", { class: "charts" }, overTime(all, split, now.by)),
    h("h2", { class: "above" }, "Where it goes"), h("div", { class: "charts" }, GROUPS.map((group, at) => top(group, tops[at]))));
}

/** @param {Record<string, string>} filter */
function unpriced(total, filter) {
  if (!total.unpriced_count) return null;
  return [h("a", { href: callsAddress({ ...filter, filter: `${filter.filter ?? ""} -has:cost`.trim() }) }, format.plural(total.unpriced_count, "call")), ` of unknown price: every cost here that holds ${total.unpriced_count === 1 ? "it" : "one of them"} is a least (≥).`];
}

/** @param {Record<string, string>} filter */
function cards(total, filter) {
  const calls = (/** @type {any} */ more, /** @type {string} */ text) => h("a", { href: callsAddress(filter, more) }, text);
  return h("dl", { class: "cards" },
    card("Requests", calls({}, format.count(total.requests))),
    card("Errors", total.errors ? calls({ status: "error" }, format.percent(total.error_rate)) : format.percent(total.error_rate), format.count(total.errors)),
    card("Cost", format.costSum(total.cost, total.unpriced_count)),
    card("Tokens", format.compact(total.total_tokens), `${format.compact(total.prompt_tokens)} in, ${format.compact(total.completion_tokens)} out`),
    card("Latency p50", format.duration(total.p50_ms), `average ${format.duration(total.avg_ms)}`), card("Latency p95", format.duration(total.p95_ms), `p99 ${format.duration(total.p99_ms)}`),
    card("TTFT p50", format.duration(total.ttft_p50_ms), `p95 ${format.duration(total.ttft_p95_ms)}`), card("Tokens per second", format.rate(total.tokens_per_s), "median"));
}

const CLASSES = [["uncached_tokens", "Input"], ["cached_tokens", "Cache read"], ["cache_write_tokens", "Cache write"], ["output_tokens", "Output"], ["reasoning_tokens", "Reasoning"]];

/** @param {string} by */
function overTime(all, split, by) {
  const times = all.points.map((/** @type {any} */ point) => timeOf(point.timestamp, all.interval));
  const place = (/** @type {any} */ answer, /** @type {number} */ at) => ({ date_from: answer.points[at].timestamp, date_to: answer.points[at].timestamp + answer.interval_ms - 1 });
  const href = (/** @type {number} */ at) => callsAddress(all.filter, place(all, at));
  const series = (/** @type {string} */ name, /** @type {string} */ label, /** @type {any} */ more) => ({ label, values: all.points.map((/** @type {any} */ point) => point[name]), ...more });
  const name = (GROUPS.find(([id]) => id === by) ?? GROUPS[0])[2];
  const within = (/** @type {number} */ at) => callsAddress(all.filter, { ...place(all, at), status: "error" });
  return [
    columns({ title: `Cost by ${name}`, times, href, text: format.cost, note: split.note, series: splitSeries(split, all.points, "cost", (one) => format.costSum(one.total.cost, one.total.unpriced_count)) }),
    columns({ title: "Requests and errors", times, href, text: format.count, isWhole: true, series: [series("requests", "Requests", { total: format.count(all.total.requests) })] }, { over: [series("errors", "Errors", { color: "error", total: format.count(all.total.errors), href: within })] }),
    lines({ title: "Latency", isTime: true, times, href, text: format.duration, series: [series("p50_ms", "p50", {}), series("p95_ms", "p95", {}), series("p99_ms", "p99", {})] }),
    lines({ title: "Time to first token", isTime: true, times, href, text: format.duration, series: [series("ttft_p50_ms", "p50", {}), series("ttft_p95_ms", "p95", {})] }),
    columns({ title: "Tokens by class", times, href, text: format.compact, isWhole: true, series: CLASSES.map(([key, label]) => series(key, label, { total: format.compact(all.total[key]) })) }),
    columns({ title: `Requests by ${name}`, times, href, text: format.count, isWhole: true, series: splitSeries(split, all.points, "requests", (one) => format.count(one.total.requests)) }),
  ];
}

/** Points of a series are only those with calls: give each its place. @param {any[]} points @param {string} name @param {(one: any) => string} total */
function splitSeries(split, points, name, total) {
  const places = new Map(points.map((point, at) => [point.timestamp, at]));
  return split.series.map((/** @type {any} */ one, /** @type {number} */ n) => {
    const values = /** @type {(number|null)[]} */ (points.map(() => null));
    for (const point of one.points) if (places.has(point.timestamp)) values[/** @type {number} */ (places.get(point.timestamp))] = point[name];
    const href = (/** @type {number} */ at) => (one.filter ? callsAddress(one.filter, { date_from: points[at].timestamp, date_to: points[at].timestamp + split.interval_ms - 1 }) : null);
    return { label: labelOf(one), values, color: one.is_rest ? "rest" : n % 8, total: total(one), href };
  });
}

function labelOf(one) {
  return one.is_rest ? "all others" : one.key == null ? "none" : format.visible(one.label);
}

/** @param {number} ms @param {string} interval */
function timeOf(ms, interval) {
  const day = format.day(ms);
  const clock = format.clock(ms).slice(0, 5);
  if (interval === "day") return { label: day, short: day };
  return { label: `${day} ${clock}`, short: clock === "00:00" ? day : clock, isFirst: clock === "00:00" };
}

/** @param {[string, string, string]} group */
function top([, label, name], answer) {
  const num = (/** @type {string} */ title, /** @type {(row: any) => string} */ cell) => ({ label: title, cls: "num", cell });
  return topBars({
    title: `By ${name}`, head: label, rows: answer.rows, value: (row) => row.cost, label: labelOf, text: (row) => format.costSum(row.cost, row.unpriced_count), href: (row) => (row.filter ? callsAddress(row.filter) : null),
    note: [answer.note, answer.more ? `${format.count(answer.more)} more` : null].filter(Boolean).join(" · ") || null,
    more: [num("Requests", (row) => format.count(row.requests)), num("Errors", (row) => format.percent(row.error_rate)), num("Tokens", (row) => format.compact(row.total_tokens)), num("p50", (row) => format.duration(row.p50_ms)), num("p95", (row) => format.duration(row.p95_ms)), num("TTFT p50", (row) => format.duration(row.ttft_p50_ms))],
  });
}
