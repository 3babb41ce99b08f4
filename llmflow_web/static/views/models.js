// @ts-check
/** What each model was asked, and what that came to. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { h, notice } from "../parts/dom.js";
import { mountPage, table } from "../parts/table.js";

/** @param {HTMLElement} el */
export function mount(el) {
  return mountPage(el, {
    ask: (signal) => get("/api/models", {}, signal),
    show(page, rows) {
      page.append(h("h1", null, "Models"));
      if (!rows.length) return void page.append(notice("No model has been called yet", "", h("a", { class: "button primary", href: "/setup" }, "How to send the first call")));
      const most = Math.max(1e-12, ...rows.map((row) => row.total_cost ?? 0));
      const share = (row) => {
        const bar = h("span", { class: "share", "aria-hidden": "true" });
        bar.style.width = `${((row.total_cost ?? 0) / most) * 100}%`;
        return bar;
      };
      page.append(table(rows, [
        { label: "Model", cell: (row) => (row.model ? h("a", { href: `/traces?${new URLSearchParams({ model: row.model })}` }, row.model) : h("span", { class: "muted" }, "without a model")) },
        { label: "Provider", cell: (row) => (row.providers ?? []).join(", ") },
        { label: "Calls", cls: "num", cell: (row) => format.count(row.request_count) },
        { label: "Tokens in", cls: "num", cell: (row) => format.compact(row.prompt_tokens) },
        { label: "Tokens out", cls: "num", cell: (row) => format.compact(row.completion_tokens) },
        { label: "Avg latency", cls: "num", cell: (row) => format.duration(row.avg_latency || null) },
        { label: "p95", cls: "num", cell: (row) => format.duration(row.p95_ms) },
        { label: "TTFT p50", cls: "num", cell: (row) => format.duration(row.ttft_p50_ms) },
        { label: "Errors", cls: "num", cell: (row) => (row.error_count == null ? "" : format.count(row.error_count)) },
        { label: "Cost", cls: "num", cell: (row) => [h("span", { title: row.unpriced_count ? `${format.plural(row.unpriced_count, "call")} of unknown price` : null }, format.costSum(row.total_cost, row.unpriced_count)), share(row)] },
      ], { label: "Models" }));
    },
  });
}
