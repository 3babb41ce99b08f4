// @ts-check
/** Why a list is empty, and the way out: fewer filters, another time, or the first call. */
import { list } from "../feed/api.js";
import { chips } from "../lib/chips.js";
import { isActive, toApi } from "../lib/filter.js";
import { stamp } from "../lib/format.js";
import { h, notice, put } from "./dom.js";

const HALF_MS = 30 * 60_000;

/** @typedef {import("../lib/filter.js").Filter} Filter */

/** @param {HTMLElement} el @param {{filter: Filter, isPaused: boolean, clear: () => void, onChange: (filter: Filter) => void, resume: () => void}} given */
export function showEmpty(el, given) {
  if (isActive(given.filter)) {
    const near = h("p", { class: "near" });
    put(el, notice("No trace matches", "Every condition must hold. Take one away, or all of them.", [h("button", { type: "button", class: "button primary", onclick: given.clear }, `Clear filters (${chips(given.filter).length})`), near]));
    offerNearest(near, given);
  } else if (given.isPaused) {
    put(el, notice("Paused", "Calls are recorded all the same; they are shown when you go on.", h("button", { type: "button", class: "button primary", onclick: given.resume }, "Go on")));
  } else {
    put(el, notice("No calls yet", "LLMFlow is waiting. Point a client's base URL at it and its calls appear here as they happen.", h("a", { class: "button primary", href: "/setup" }, "How to send the first call")));
  }
}

/** Where the time is what excludes everything: when would there be something? @param {HTMLElement} el @param {{filter: Filter, onChange: (filter: Filter) => void}} given */
async function offerNearest(el, { filter, onChange }) {
  if (!filter.since && !filter.from && !filter.to) return;
  const rest = { ...filter, since: "", from: "", to: "", sort: "" };
  const ask = async (/** @type {Record<string, any>} */ more) => (await list({ roots: 1, joined: 0, limit: 1, ...toApi(rest), ...more })).rows[0]?.timestamp;
  try {
    const before = await ask(filter.from ? { date_to: filter.from } : {});
    const after = filter.to ? await ask({ date_from: filter.to, sort: "time" }) : undefined;
    const far = (/** @type {number|undefined} */ ms) => (ms === undefined ? Infinity : Math.min(...[filter.from, filter.to].filter(Boolean).map((edge) => Math.abs(ms - Number(edge))), Date.now() - ms));
    const nearest = far(after) < far(before) ? after : before;
    if (nearest === undefined || !el.isConnected) return;
    const half = filter.from && filter.to ? Math.max(1, (Number(filter.to) - Number(filter.from)) / 2) : HALF_MS;
    put(el, "The nearest that would match is of ", h("button", { type: "button", class: "more", onclick: () => onChange({ ...filter, since: "", from: String(Math.floor(nearest - half)), to: String(Math.ceil(nearest + half)) }) }, stamp(nearest)), ".");
  } catch { /* then without */ }
}
