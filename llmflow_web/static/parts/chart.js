// @ts-check
/** Own charts: bars over time in SVG and bars by size, each with the same figures as a table. */
import { h, put, s, setAttr } from "./dom.js";
import { table } from "./table.js";

const WIDTH = 600;
const HEIGHT = 120;

/** @typedef {{title: string, rows: any[], value: (row: any) => number, label: (row: any) => string, text: (value: any) => string, href: (row: any) => string}} Chart */

/** A card with a button that shows the figures instead. @param {Chart} chart @param {() => any} draw @param {(row: any) => string} figure @param {string} [most] */
function frame(chart, draw, figure, most) {
  const body = h("div", null, draw());
  const button = h("button", { type: "button", class: "more", "aria-pressed": "false", onclick: () => {
    const isTable = button.getAttribute("aria-pressed") === "false";
    setAttr(button, "aria-pressed", String(isTable));
    put(body, isTable ? table(chart.rows, [{ label: "", cell: (row) => h("a", { href: chart.href(row) }, chart.label(row)) }, { label: chart.title, cls: "num", cell: figure }], { label: chart.title }) : draw());
  } }, "Table");
  return h("section", { class: "card chart", "aria-label": chart.title }, h("header", null, h("h2", null, chart.title), most ? h("span", { class: "muted" }, `most ${most}`) : null, button), body);
}

/** @param {Chart} chart */
export function timeBars(chart) {
  const { rows, value, label, text, href } = chart;
  return frame(chart, () => {
    const most = Math.max(...rows.map(value), 0);
    const step = WIDTH / Math.max(1, rows.length);
    const high = (row) => Math.max(2, most ? (value(row) / most) * (HEIGHT - 4) : 0);
    const bar = (row, i) => value(row) > 0 && s("a", { href: href(row), "aria-label": `${label(row)}: ${text(value(row))}` },
      s("rect", { x: i * step + step * 0.12, width: step * 0.76, y: HEIGHT - high(row), height: high(row) }, s("title", null, `${label(row)}: ${text(value(row))}`)));
    const short = (row) => (row ? label(row).slice(label(row).length > 10 ? 11 : 5) : "");
    return [s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "group", "aria-label": `${chart.title}, at most ${text(most)}` },
      s("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), rows.map(bar)),
    h("div", { class: "axis-x", "aria-hidden": "true" }, [0, 0.5, 1].map((part) => h("span", null, short(rows[Math.round((rows.length - 1) * part)]))))];
  }, (row) => text(value(row)), text(Math.max(0, ...rows.map(value))));
}

/** @param {Chart} chart */
export function topBars(chart) {
  const { rows, value, label, text, href } = chart;
  return frame(chart, () => {
    const top = rows.slice(0, 10);
    const most = Math.max(...top.map(value), 1e-12);
    return h("div", { class: "bars" }, top.map((row) => {
      const bar = h("i", { "aria-hidden": "true" });
      bar.style.width = `${(value(row) / most) * 100}%`;
      return h("a", { href: href(row) }, h("span", null, label(row)), h("span", null, bar), h("span", { class: "num" }, text(row)));
    }));
  }, text);
}
