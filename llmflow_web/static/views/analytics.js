// @ts-check
/** What it all came to: sums, and bars that lead to the calls behind them. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { timeBars, topBars } from "../parts/chart.js";
import { h, notice } from "../parts/dom.js";
import { mountPage } from "../parts/table.js";

const DAYS = [1, 7, 14, 30, 90];

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const days = () => {
    const asked = Number(new URLSearchParams(state.route.search).get("days"));
    return DAYS.includes(asked) ? asked : 7;
  };
  return mountPage(el, {
    ask(signal) {
      const window = { days: days(), interval: days() <= 2 ? "hour" : "day" };
      return Promise.all([get("/api/analytics", { days: days() }, signal), get("/api/analytics/token-trends", window, signal), get("/api/analytics/percentiles", window, signal)]);
    },
    show(page, [answer, { trends = [] }, { overall = {}, buckets = [] }]) {
      const since = `${days()}d`;
      page.append(h("h1", null, "Analytics", h("select", { "aria-label": "Range", onchange: (event) => state.go(`/analytics?days=${event.target.value}`) },
        DAYS.map((one) => h("option", { value: one, selected: one === days() }, one === 1 ? "Last 24 hours" : `Last ${one} days`)))));
      const sum = (name) => trends.reduce((all, row) => all + (row[name] ?? 0), 0);
      const calls = sum("request_count");
      if (!calls) return void page.append(notice("No calls in this time", "Choose a longer range, or send a first call.", h("a", { class: "button", href: "/setup" }, "Setup")));
      const cards = [
        ["Calls", format.count(calls)], ["Cost", format.costSum(sum("total_cost"), sum("unpriced_count"))], ["Tokens in", format.compact(sum("prompt_tokens"))], ["Tokens out", format.compact(sum("completion_tokens"))],
        ["Errors", format.percent(sum("error_count") / calls)], ["Latency p50", format.duration(overall.p50_ms)], ["Latency p95", format.duration(overall.p95_ms)], ["TTFT p50", format.duration(overall.ttft_p50_ms)],
      ];
      page.append(h("dl", { class: "cards wide" }, cards.filter(([, value]) => value != null).map(([name, value]) => h("div", { class: "card" }, h("dt", null, name), h("dd", null, value)))));
      const step = trends.length > 1 ? trends[1].bucket - trends[0].bucket : 86_400_000;
      const range = (row) => `/traces?${new URLSearchParams({ from: String(row.bucket), to: String(row.bucket + step - 1) })}`;
      const over = (title, name, text, rows = trends) => timeBars({ title, rows, value: (row) => row[name] ?? 0, label: (row) => row.label, text, href: range });
      page.append(h("div", { class: "charts wide" },
        over("Cost", "total_cost", format.cost), over("Calls", "request_count", format.count), over("Latency p95", "p95_ms", format.duration, buckets), over("Errors", "error_count", format.count), over("Tokens in", "prompt_tokens", format.compact), over("Tokens out", "completion_tokens", format.compact),
        topBars({ title: "Cost by model", rows: (answer.by_model ?? []).filter((row) => row.model), value: (row) => row.total_cost ?? 0, label: (row) => row.model, text: (row) => format.costSum(row.total_cost, row.unpriced_count), href: (row) => `/traces?${new URLSearchParams({ model: row.model, since })}` }),
        topBars({ title: "Cost by provider and service", rows: answer.by_tool ?? [], value: (row) => row.total_cost ?? 0, label: (row) => [row.provider, row.service_name].filter((one) => one && one !== "unknown").join(" · ") || "unknown", text: (row) => format.costSum(row.total_cost, row.unpriced_count), href: (row) => `/traces?${new URLSearchParams(row.provider && row.provider !== "unknown" ? { provider: row.provider, since } : { since })}` })));
    },
  });
}
