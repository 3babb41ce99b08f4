// @ts-check
/** Calls over time in a strip of 48 px, errors at the foot. What a hand does with it comes when one is near. */
import { count, stamp } from "../lib/figures.js";
import { h, put, s, setAttr, setText } from "./nodes.js";

const HIGH = 30; // units of the drawing

/** @typedef {{start: number, end: number, count: number, errors: number}} Bucket */
/** @typedef {{onRange: (from: number, to: number) => void, onClear: () => void}} Options */

/** @param {HTMLElement} el @param {Options} options */
export function mountHistogram(el, options) {
  const svg = s("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  const ends = [h("span"), h("span")];
  const strip = h("div", { class: "strip", tabindex: 0, role: "slider", "aria-label": "Calls over time", "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 }, svg, h("div", { class: "ends", "aria-hidden": "true" }, ends));
  el.append(strip);
  /** @type {Bucket[]} */
  let data = [];
  /** @type {{isBusy: boolean, show: () => void}|undefined} */
  let range;
  /** @type {Promise<any>|undefined} */
  let coming;
  const bring = () => { coming ??= import("./range.js").then((module) => { range = module.mountRange(strip, svg, () => data, options); }); };
  for (const name of ["pointerenter", "focusin"]) (el.parentElement ?? el).addEventListener(name, bring, { once: true }); // before a hand is on it

  return {
    /** Whether somebody is choosing a range right now. */
    get isBusy() { return Boolean(range?.isBusy); },
    /** How many calls there are in all. */
    get total() { return data.reduce((sum, one) => sum + one.count, 0); },
    /** @param {any} answer of /api/histogram */
    update(answer) {
      const list = answer.buckets ?? [];
      const start = (/** @type {any} */ one) => one.timestamp ?? one.start;
      const width = answer.bucket_ms ?? (list.length > 1 ? start(list[1]) - start(list[0]) : 60_000);
      data = list.map((/** @type {any} */ one) => ({ start: start(one), end: start(one) + width - 1, count: one.count ?? 0, errors: one.errors ?? 0 }));
      const most = Math.max(1, ...data.map((one) => one.count));
      strip.hidden = this.total === 0;
      svg.setAttribute("viewBox", `0 0 ${data.length || 1} ${HIGH}`);
      const rect = (/** @type {number} */ i, /** @type {number} */ n, /** @type {string} */ cls) => {
        const high = n ? Math.max(2, (n / most) * HIGH) : 0;
        return n ? s("rect", { class: cls, x: i + 0.08, width: 0.84, y: HIGH - high, height: high }) : null;
      };
      put(svg, data.map((one, i) => [rect(i, one.count, "n"), rect(i, one.errors, "e")]));
      if (data.length) [data[0].start, data[data.length - 1].end + 1].forEach((ms, i) => setText(ends[i], Date.now() - ms < 60_000 ? "now" : stamp(ms).replace(/:\d\d$/, "")));
      setAttr(strip, "aria-valuemax", Math.max(0, data.length - 1));
      setAttr(strip, "aria-valuetext", `${count(this.total)} calls`);
      range?.show();
    },
  };
}
