// @ts-check
/**
 * Own charts: columns and lines over time in SVG, bars by size in HTML, each with the same figures as a table.
 * A chart is one stop in the tab order: arrows go from time to time, up and down through what a column is made of.
 */
import { axisMarks, durationTicks, isUneven, linePath, logTicks, stack, ticks } from "../lib/scale.js";
import { h, put, s, setAttr, setText } from "./dom.js";
import { table } from "./table.js";

const WIDTH = 1000;
const HEIGHT = 160;
const GAP = 0.14;
const SPARK_GAP = 3;
const LOG_NOTE = "Logarithmic axis: the slowest are many times slower than most.";
const DASHES = ["", "7 4", "2 4", "10 3 2 3"];

/**
 * @typedef {{label: string, values: (number|null)[], color?: number|string, total?: string, href?: (at: number) => string|null}} Series
 * @typedef {{title: string, note?: string|null, times: {label: string, short: string, isFirst?: boolean}[], series: Series[], text: (value: any) => string,
 *   href: ((at: number) => string)|null, isWhole?: boolean, isTime?: boolean, gap?: number}} TimeChart `short`: for the axis; `isFirst`: a day begins; `gap`: so many unknown points a line goes over
 */

/** Titles of the charts that are shown as tables: they stay so when they are made anew. @type {Set<string>} */
const tables = new Set();

/** A card with a button that shows the figures instead. @param {{title: string, note?: string|null}} chart @param {() => any} draw @param {() => any} asTable */
function frame({ title, note }, draw, asTable) {
  const body = h("div", { class: "chart-body" });
  const show = () => {
    setAttr(button, "aria-pressed", String(tables.has(title)));
    put(body, tables.has(title) ? asTable() : draw());
  };
  const button = h("button", { type: "button", class: "more", "aria-label": `Show ${title} as table`, onclick: () => {
    if (!tables.delete(title)) tables.add(title);
    show();
  } }, "Show as table");
  show();
  return h("section", { class: "card chart", "aria-label": title }, h("header", null, h("h2", null, title), button), body, note ? h("p", { class: "muted small" }, note) : null);
}

/** @param {Series} series @param {number} at */
const colorOf = (series, at) => `c${series.color ?? at % 8}`;

/** What a point is made of, in words. @param {TimeChart} chart @param {number} at */
function told(chart, at) {
  const known = chart.series.filter((series) => series.values[at] != null && (series.values[at] || chart.series.length < 4));
  return `${chart.times[at].label}: ${known.length ? known.map((series) => `${series.label} ${chart.text(series.values[at])}`).join(", ") : "nothing"}`;
}

/** Columns over time, the series of one upon the other. @param {TimeChart} chart @param {{over?: Series[]}} [more] `over`: drawn in front, from the foot (errors among requests) */
export function columns(chart, { over = [] } = {}) {
  const layers = stack(chart.series.map((series) => series.values.map((value) => value ?? 0)));
  const most = Math.max(0, ...(layers.at(-1) ?? []).map((ends) => ends[1]));
  const all = { ...chart, series: [...chart.series, ...over] };
  const draw = () => plot(all, axisFrom(all, most), (y, x, step) => chart.times.map((_, at) => group(all, at, x, step, [
    chart.series.map((series, n) => segment(chart, series, at, x(at), step, y, layers[n][at], colorOf(series, n))),
    over.map((series, n) => segment(chart, series, at, x(at), step, y, [0, series.values[at] ?? 0], colorOf(series, n + chart.series.length))),
  ])));
  return frame(chart, draw, () => asTable(all));
}

/** Lines over time, told apart by dashes as well as by colour. @param {TimeChart} chart */
export function lines(chart) {
  const values = chart.series.flatMap((series) => series.values.map((value) => value ?? 0));
  const isLog = Boolean(chart.isTime) && isUneven(values);
  const draw = () => plot(chart, isLog ? logAxis(values) : axisFrom(chart, Math.max(0, ...values)), (y, x, step) => [
    chart.times.map((_, at) => group(chart, at, x, step, [])),
    chart.series.map((series, n) => s("path", { class: `line ${colorOf(series, n)}`, "stroke-dasharray": DASHES[n % DASHES.length] || null, d: linePath(series.values, (at) => x(at) + step / 2, y, chart.gap) })),
  ], true);
  return frame(isLog ? { ...chart, note: [chart.note, LOG_NOTE].filter(Boolean).join(" ") } : chart, draw, () => asTable(chart));
}

/** @param {TimeChart} chart @param {number} at @param {(at: number) => number} x @param {number} step @param {any} inside */
function group(chart, at, x, step, inside) {
  return s("g", { "data-at": at }, s(chart.href ? "a" : "g", { href: chart.href?.(at), role: chart.href ? null : "img", class: "hit", tabindex: -1, "aria-label": told(chart, at) }, s("rect", { x: x(at), y: 0, width: step, height: HEIGHT })), inside);
}

/** @param {TimeChart} chart @param {Series} series @param {number} at @param {number} x @param {number} step @param {(value: number) => number} y @param {[number, number]} ends @param {string} color */
function segment(chart, series, at, x, step, y, [low, high], color) {
  if (!(high > low)) return null;
  const top = Math.min(y(high), y(low) - 1.5); // what is there can be seen
  const rect = s("rect", { class: color, x: x + (step * GAP) / 2, width: step * (1 - GAP), y: top, height: y(low) - top });
  const href = series.href?.(at);
  const label = `${series.label}, ${chart.times[at].label}: ${chart.text(series.values[at])}`;
  return href ? s("a", { href, class: "part", tabindex: -1, "aria-label": label }, rect) : rect;
}

/** Where marks stand and values lie, as shares of the height. @typedef {{marks: number[], share: (value: number) => number}} Axis */

/** From zero, evenly. @param {TimeChart} chart @param {number} most @returns {Axis} */
function axisFrom(chart, most) {
  const marks = chart.isTime ? durationTicks(most, 3) : ticks(most, 3, chart.isWhole);
  const highest = marks[marks.length - 1] || 1;
  return { marks, share: (value) => value / highest };
}

/** Every step the same factor: one slow hour does not press all the others to the floor. @param {number[]} values @returns {Axis} */
function logAxis(values) {
  const marks = logTicks(values);
  const [low, high] = [marks[0], marks[marks.length - 1]].map(Math.log);
  return { marks, share: (value) => (Math.log(Math.max(value, marks[0])) - low) / (high - low) };
}

/** Axis, marks and what is under the pointer. @param {TimeChart} chart @param {Axis} axis @param {(y: (value: number) => number, x: (at: number) => number, step: number) => any} inside @param {boolean} [areLines] */
function plot(chart, { marks, share }, inside, areLines = false) {
  const step = WIDTH / Math.max(1, chart.times.length);
  const y = (/** @type {number} */ value) => HEIGHT - share(value) * (HEIGHT - 2);
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "group", "aria-label": `${chart.title}, ${chart.times.length} points. Arrow keys go from one to the next` },
    marks.map((mark) => s("line", { x1: 0, x2: WIDTH, y1: y(mark), y2: y(mark) })), inside(y, (at) => at * step, step));
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const rest = legend(chart, areLines);
  follow(svg, (at) => { rest.hidden = at >= 0; readout.hidden = at < 0; if (at >= 0) setText(readout, told(chart, at)); });
  readout.hidden = true;
  const scale = h("div", { class: "axis-y", "aria-hidden": "true" }, marks.map((mark) => {
    const label = h("span", null, chart.text(mark));
    label.style.bottom = `${share(mark) * 100}%`;
    return label;
  }));
  return [h("div", { class: "plot" }, scale, svg), below(chart), h("div", { class: "under" }, rest, readout)];
}

/** @param {TimeChart} chart */
function below({ times }) {
  return h("div", { class: "axis-x", "aria-hidden": "true" }, axisMarks(times, 5).map((at) => {
    const label = h("span", null, times[at].short);
    label.style.left = `${((at + 0.5) / times.length) * 100}%`;
    return label;
  }));
}

/** @param {TimeChart} chart @param {boolean} areLines */
function legend(chart, areLines) {
  return h("ul", { class: "legend" }, chart.series.map((series, n) => h("li", null,
    s("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, areLines ? s("path", { class: `line ${colorOf(series, n)}`, "stroke-dasharray": DASHES[n % DASHES.length] || null, d: "M0 5h18" }) : s("rect", { class: colorOf(series, n), x: 3, y: 0, width: 12, height: 10 })),
    h("span", null, series.label), series.total ? h("span", { class: "muted" }, series.total) : null)));
}

/** Pointer and arrow keys over a plot. @param {SVGElement} svg @param {(at: number) => void} onPoint */
function follow(svg, onPoint) {
  const hits = /** @type {SVGAElement[]} */ ([...svg.querySelectorAll(".hit")]);
  hits.at(-1)?.setAttribute("tabindex", "0");
  const atOf = (/** @type {EventTarget|null} */ target) => Number((target instanceof Element && target.closest("[data-at]")?.getAttribute("data-at")) || -1);
  svg.addEventListener("pointermove", (event) => onPoint(atOf(event.target)));
  svg.addEventListener("pointerleave", () => onPoint(-1));
  svg.addEventListener("focusin", (event) => onPoint(atOf(event.target)));
  svg.addEventListener("focusout", () => onPoint(-1));
  svg.addEventListener("keydown", (event) => {
    const at = atOf(event.target);
    const inside = /** @type {SVGAElement[]} */ ([...svg.querySelectorAll(`[data-at="${at}"] :is(.hit, .part)`)]);
    const level = inside.indexOf(/** @type {any} */ (event.target));
    const next = { ArrowRight: hits[at + 1], ArrowLeft: hits[at - 1], Home: hits[0], End: hits.at(-1), ArrowUp: inside[level + 1], ArrowDown: inside[level - 1] }[event.key];
    if (!(event.key in { ArrowRight: 1, ArrowLeft: 1, Home: 1, End: 1, ArrowUp: 1, ArrowDown: 1 })) return;
    event.preventDefault();
    event.stopPropagation();
    if (!next) return;
    for (const one of svg.querySelectorAll('[tabindex="0"]')) one.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    /** @type {any} */ (next).focus();
  });
}

/** @param {TimeChart} chart */
function asTable(chart) {
  const rows = chart.times.map((_, at) => at).filter((at) => chart.series.some((series) => series.values[at]));
  const cell = (/** @type {Series} */ series) => (/** @type {number} */ at) => {
    const href = series.values[at] ? series.href?.(at) : null;
    const text = chart.text(series.values[at]);
    return href ? h("a", { href }, text) : text;
  };
  if (!rows.length) return h("p", { class: "muted" }, "Nothing in this time.");
  return table(rows, [{ label: "Time", isHead: true, cell: (at) => (chart.href ? h("a", { href: chart.href(at) }, chart.times[at].label) : chart.times[at].label) }, ...chart.series.map((series) => ({ label: series.label, cls: "num", cell: cell(series) }))], { label: `${chart.title} as table` });
}

/**
 * Bars by size, each a link. @typedef {{title: string, head: string, note?: string|null, rows: any[], value: (row: any) => number|null, label: (row: any) => string, text: (row: any) => string, href: (row: any) => string|null,
 *   more?: import("./table.js").PlainColumn[]}} TopChart
 * @param {TopChart} chart `more`: columns of the table beside label and value
 */
export function topBars(chart) {
  const { rows, value, label, text, href } = chart;
  const most = Math.max(...rows.map((row) => value(row) ?? 0), 1e-12);
  const line = (/** @type {any} */ row) => {
    const bar = h("i", { "aria-hidden": "true" });
    bar.style.width = `${((value(row) ?? 0) / most) * 100}%`;
    const address = href(row);
    return h("li", null, h(address ? "a" : "div", { class: "bar-row", href: address }, h("span", { class: "bar-name" }, label(row)), h("span", { class: "num" }, text(row)), h("span", { class: "bar-line" }, bar)));
  };
  const named = (/** @type {any} */ row) => { const address = href(row); return address ? h("a", { href: address }, label(row)) : label(row); };
  return frame(chart, () => (rows.length ? h("ul", { class: "bars" }, rows.map(line)) : h("p", { class: "muted" }, "Nothing in this time.")),
    () => table(rows, [{ label: chart.head, isHead: true, cell: named }, { label: "Value", cls: "num", cell: text }, ...(chart.more ?? [])], { label: `${chart.title} as table` }));
}

/** A line as small as a word; its figures are told beside it. @param {(number|null)[]} values */
export function sparkline(values) {
  const known = /** @type {number[]} */ (values.filter((value) => value != null));
  if (!known.length) return h("span", { class: "muted" }, "–");
  const low = Math.min(0, ...known);
  const high = Math.max(...known);
  const y = (/** @type {number} */ value) => (high === low ? 11 : 20 - ((value - low) / (high - low)) * 18);
  return s("svg", { class: "spark", viewBox: "0 0 100 22", preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { class: "line c0", d: linePath(values, (at) => (values.length > 1 ? (at / (values.length - 1)) * 98 + 1 : 50), y, SPARK_GAP) }));
}
