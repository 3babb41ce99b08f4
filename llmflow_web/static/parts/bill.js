// @ts-check
/** What a call cost and why: tokens × price of each class, the price's key and date, what the provider itself reported. */
import * as format from "../lib/format.js";
import { h } from "./dom.js";

/** @param {any} trace row with cost_detail */
export function bill(trace) {
  const cost = trace.cost_detail ?? {};
  const lines = cost.lines ?? [];
  const reported = cost.reported_cost ?? cost.reported;
  return h("div", { class: "bill" },
    lines.length ? h("p", { class: "sum" }, lines.map((line, i) => [i ? " + " : "", h("span", null, `${format.visible(line.name)} ${format.count(line.quantity)} × ${unit(line)}`)]), ` = ${format.costExact(trace.estimated_cost)}`) : null,
    lines.length ? table(trace, lines) : h("p", null, trace.estimated_cost == null ? "The price of this model is unknown, so no cost is shown: LLMFlow does not guess." : `Cost ${format.costExact(trace.estimated_cost)}, without a breakdown.`),
    reported == null ? null : h("p", null, `The provider reported ${format.costExact(reported)}`, difference(trace.estimated_cost, reported)),
    h("p", { class: "muted" }, source(trace, cost)));
}

/** @param {{unit: string, price: number}} line */
function unit(line) {
  return line.unit === "token" ? `${format.perMillion(line.price)} / 1M` : `${format.costExact(line.price)} / ${format.visible(line.unit)}`;
}

/** @param {any[]} lines */
function table(trace, lines) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Cost by class" }, h("table", null,
    h("thead", null, h("tr", null, ["Class", "Quantity", "Price", "Amount"].map((name, i) => h("th", { class: i ? "num" : null, scope: "col" }, name)))),
    h("tbody", null, lines.map((line) => h("tr", null, h("td", null, format.visible(line.name)), h("td", { class: "num" }, `${format.count(line.quantity)}${line.unit === "token" ? "" : ` ${format.visible(line.unit)}`}`), h("td", { class: "num" }, unit(line)), h("td", { class: "num" }, format.costExact(line.amount))))),
    h("tfoot", null, h("tr", null, h("td", { colspan: 3 }, "Total"), h("td", { class: "num" }, format.costExact(trace.estimated_cost))))));
}

/** @param {number|null|undefined} ours @param {number} theirs */
function difference(ours, theirs) {
  if (ours == null) return "; we know no price of our own.";
  const gap = ours - theirs;
  if (Math.abs(gap) < 1e-9) return ", as we reckon.";
  return `; ours is ${format.costExact(Math.abs(gap))} ${gap > 0 ? "more" : "less"}${theirs ? ` (${format.percent(Math.abs(gap / theirs))})` : ""}.`;
}

function source(trace, cost) {
  const key = trace.price_key ?? cost.price_key;
  return [key && `Price of ${format.visible(key)}`, cost.price_date && `table of ${cost.price_date}`, cost.quality && cost.quality !== "none" && `match: ${cost.quality}`, trace.is_estimated && "tokens estimated"].filter(Boolean).join(" · ");
}
