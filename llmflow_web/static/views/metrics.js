// @ts-check
/** Metrics: each with its course and what it came to, one of them as a chart, and the tokens that tools report. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { addressWith } from "../lib/links.js";
import { sinceMs } from "../lib/since.js";
import { measure, pointValue, summaryValue } from "../lib/units.js";
import { columns, lines, sparkline } from "../parts/chart.js";
import { debounce, h, icon, notice, put, setText, time } from "../parts/dom.js";
import { card, choice, listening, mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";

/** @type {[string, string][]} */
const RANGES = [["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]];
/** @type {[string, string][]} */
const TYPES = [["", "All types"], ["sum", "Sums"], ["gauge", "Gauges"], ["histogram", "Histograms"]];
const SPARK_POINTS = 30;
const CHART_POINTS = 100;
const GAP = 5; // a program reports more seldom than a chart has points
const DEFAULT = "24h";

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const box = h("input", { type: "search", "aria-label": "Search metrics", placeholder: "Search names", autocomplete: "off", spellcheck: "false" });
  const selects = h("span", { class: "selects" });
  const params = () => new URLSearchParams(state.route.search);
  const go = (/** @type {Record<string, string>} */ changes, isTyping = false) => state.go(addressWith("/metrics", state.route.search, changes), { replace: isTyping });
  const typed = debounce(250, () => go({ q: box.value.trim() }, true));
  box.addEventListener("input", typed);
  let services = /** @type {string[]} */ ([]);
  let sparks = new AbortController();

  async function ask(/** @type {AbortSignal} */ signal) {
    const now = params();
    const since = sinceMs(now.get("since") ?? DEFAULT, Date.now()) ?? Date.now() - 86_400_000;
    const asked = { date_from: since, service_name: now.get("service"), metric_type: now.get("type") };
    const name = now.get("name");
    const [rows, tokens, known, series] = await Promise.all([
      get("/api/metrics/summary", asked, signal), get("/api/metrics/tokens", { date_from: since, service_name: now.get("service") }, signal), get("/api/metrics/filters", {}, signal),
      name ? get("/api/metrics/series", { name, service_name: now.get("service"), date_from: since, points: CHART_POINTS }, signal) : null,
    ]);
    services = known.services;
    return { rows, tokens: tokens.usage, series, isKnown: known.names.length > 0 };
  }

  const screen = mountScreen(el, {
    cls: "metrics", head: [h("h1", null, "Metrics"), selects, h("label", { class: "search" }, icon("search"), box)], ask,
    show(body, answer) {
      sparks.abort();
      sparks = new AbortController();
      showSelects();
      show(body, answer, params(), { go, address: (changes) => addressWith("/metrics", state.route.search, changes), signal: sparks.signal });
    },
  });

  function showSelects() {
    const now = params();
    const focused = document.activeElement?.getAttribute("aria-label");
    put(selects, choice("Range", RANGES, now.get("since") ?? DEFAULT, (since) => go({ since: since === DEFAULT ? "" : since })), choice("Type", TYPES, now.get("type") ?? "", (type) => go({ type })),
      choice("Service", [["", "All services"], ...services.map((one) => /** @type {[string, string]} */ ([one, format.visible(one)]))], now.get("service") ?? "", (service) => go({ service })));
    if (focused && document.activeElement === document.body) /** @type {HTMLElement|null} */ (selects.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
  }

  state.live.listen({ metrics: true });
  const deaf = listening(state.live, { metric: screen.renew, refresh: screen.renew });
  return {
    ...screen,
    update() {
      if (document.activeElement !== box) box.value = params().get("q") ?? "";
      showSelects();
      screen.update();
    },
    unmount() {
      typed.cancel();
      deaf();
      sparks.abort();
      state.live.listen(null);
      screen.unmount();
    },
  };
}

/** @typedef {{go: (changes: Record<string, string>) => void, address: (changes: Record<string, string>) => string, signal: AbortSignal}} Act */

/** @param {HTMLElement} body @param {URLSearchParams} now @param {Act} act */
function show(body, { rows, tokens, series, isKnown }, now, act) {
  const q = (now.get("q") ?? "").toLowerCase();
  const found = rows.filter((/** @type {any} */ row) => row.name.toLowerCase().includes(q));
  if (series) body.append(one(series, rows.filter((/** @type {any} */ row) => row.name === series.name), act));
  if (!isKnown) {
    body.append(notice("No metrics yet", "They arrive by OpenTelemetry (OTLP) at this port, or from a coding agent.", h("a", { class: "button primary", href: "/setup#otel" }, "Setup")));
    return;
  }
  if (found.length) body.append(list(found, now, act));
  else body.append(notice("No metric matches", "Nothing of this name, type and service was reported in this time.", h("div", { class: "bulk" }, h("button", { type: "button", class: "button primary", onclick: () => act.go({ q: "", type: "", service: "", since: "30d" }) }, "Clear filters, last 30 days"))));
  if (tokens.length) body.append(h("h2", { class: "above" }, "Tokens that tools report"), usage(tokens));
}

/** @param {any[]} rows @param {URLSearchParams} now @param {Act} act */
function list(rows, now, act) {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      /** @type {any} */ (entry.target).load();
    }
  }, { rootMargin: "200px" });
  act.signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
  const asked = new Map();
  const course = (/** @type {any} */ row) => {
    let coming = asked.get(row);
    if (!coming) asked.set(row, coming = get("/api/metrics/series", { name: row.name, service_name: row.service_name, date_from: row.first_seen, date_to: Math.max(row.last_seen, row.first_seen + 1), points: SPARK_POINTS }, act.signal));
    return coming;
  };
  return table(rows, [
    { label: "Name", isHead: true, cell: (row) => [h("a", { class: "mono", href: act.address({ name: row.name, service: row.service_name ?? "" }), "aria-current": now.get("name") === row.name ? "true" : null }, format.visible(row.name)), h("small", null, format.visible(row.service_name ?? "no service"))] },
    { label: "Type", cell: (row) => [row.metric_type, row.temporality ? h("small", null, row.temporality) : null] }, { label: "Unit", cell: (row) => (row.unit ? format.visible(row.unit) : format.NONE) },
    { label: "Course", cell: (row) => {
      const cell = /** @type {any} */ (h("span", { class: "course" }));
      cell.load = () => course(row).then((/** @type {any} */ answer) => put(cell, sparkline(answer.points.map((/** @type {any} */ point) => point.value))), () => { /* a list without the small pictures is still a list */ });
      watcher.observe(cell);
      return cell;
    } },
    { label: "Last point", cls: "num", cell: (row) => {
      const cell = /** @type {any} */ (h("span", null, "…"));
      const wanted = { name: row.name, service_name: row.service_name, limit: 1 };
      cell.load = () => get("/api/metrics", wanted, act.signal).then((/** @type {any} */ answer) => setText(cell, measure(pointValue(answer.metrics?.[0]), row.unit)), () => setText(cell, format.NONE));
      watcher.observe(cell);
      return cell;
    } },
    { label: "In this time", cls: "num", cell: (row) => { const { words, value } = summaryValue(row); return [measure(value, row.unit), h("small", null, words)]; } },
    { label: "Points", cls: "num", cell: (row) => format.count(row.data_points) }, { label: "Last seen", cell: (row) => time(row.last_seen, format.stamp(row.last_seen), format.iso(row.last_seen)) },
  ], { label: "Metrics" });
}

/** @param {any[]} rows the same metric of each service @param {Act} act */
function one(series, rows, act) {
  const unit = series.unit ?? rows[0]?.unit;
  const text = (/** @type {any} */ value) => measure(value, unit);
  const isSum = series.metric_type === "sum";
  const times = series.points.map((/** @type {any} */ point) => ({ label: format.stamp(point.timestamp), short: series.bucket_ms >= 86_400_000 ? format.day(point.timestamp) : format.clock(point.timestamp).slice(0, 5) }));
  const chart = { title: format.visible(series.name), times, text, gap: GAP, href: null, series: [{ label: isSum ? "Growth" : series.metric_type === "gauge" ? "Mean" : "Mean of the observations", values: series.points.map((/** @type {any} */ point) => point.value) }], note: `One ${isSum ? "column" : "point"} is ${format.duration(series.bucket_ms)}.` };
  const facts = rows.map((row) => { const { words, value } = summaryValue(row); return card(format.visible(row.service_name ?? "no service"), measure(value, row.unit), words); });
  return h("section", { class: "part-of", "aria-label": `Metric ${format.visible(series.name)}` }, h("div", { class: "bulk" }, h("a", { class: "button", href: act.address({ name: "" }) }, icon("close"), "Close"), h("span", { class: "muted" }, [series.metric_type, rows[0]?.temporality, unit && `in ${format.visible(unit)}`].filter(Boolean).join(", "))),
    facts.length ? h("dl", { class: "cards" }, facts) : null, times.some((/** @type {any} */ _, /** @type {number} */ at) => series.points[at].value != null) ? (isSum ? columns(chart) : lines(chart)) : notice("Nothing in this time", "Choose a longer range."));
}

/** @param {any[]} tokens */
function usage(tokens) {
  return table(tokens, [
    { label: "Service", isHead: true, cell: (row) => format.visible(row.service_name ?? format.NONE) }, { label: "Model", cell: (row) => format.visible(row.model ?? format.NONE) }, { label: "Class", cell: (row) => format.visible(row.token_type ?? format.NONE) },
    { label: "Tokens", cls: "num", cell: (row) => h("span", { title: format.count(row.total_tokens) }, format.compact(row.total_tokens)) }, { label: "Metric", cell: (row) => h("a", { class: "mono", href: `/metrics?${new URLSearchParams({ name: row.name })}` }, format.visible(row.name)) },
  ], { label: "Tokens that tools report" });
}
