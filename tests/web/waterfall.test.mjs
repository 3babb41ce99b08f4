import assert from "node:assert/strict";
import { test } from "node:test";
import { flatten } from "../../llmflow_web/static/lib/tree.js";
import * as w from "../../llmflow_web/static/lib/waterfall.js";

const span = (id, start, length, children = [], more = {}) => ({ id, timestamp: start, duration_ms: length, children, ...more });
const rounded = (value) => JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "number" ? Math.round(v * 1e6) / 1e6 : v)));
const rowsOf = (roots) => flatten(roots, new Set());
const sample = [span("a", 0, 100, [span("b", 10, 20, [span("c", 12, 5)]), span("d", 40, 50)])];

test("the box reaches from the first start to the last end", () => {
  assert.deepEqual(w.boxOf(rowsOf(sample)), { start: 0, end: 100 });
  assert.deepEqual(w.boxOf([]), { start: 0, end: 1 });
  assert.ok(w.boxOf(rowsOf([span("a", 5, 0)])).end > 5);
});

test("a bar is split where the first token came, and cut at the edges of the view", () => {
  const over = w.scale({ start: 0, end: 100 });
  const call = span("d", 40, 50, [], { ttft_ms: 10 });
  assert.deepEqual(rounded(w.bar(call, over, w.WHOLE)), { wait: { left: 40, width: 10 }, run: { left: 50, width: 40 } });
  const zoomed = w.bar(call, over, { from: 0.45, to: 0.7 });
  assert.deepEqual([zoomed.wait.left, Math.round(zoomed.wait.width), Math.round(zoomed.run.width)], [0, 20, 80]);
  assert.equal(w.bar(call, over, { from: 0, to: 0.2 }).run, null);
  assert.deepEqual(w.bar(span("e", 10, 0), over, w.WHOLE), { wait: null, run: { left: 10, width: 0 } });
  assert.equal(w.bar(span("f", 0, 10, [], { ttft_ms: 99 }), over, w.WHOLE).run, null);
});

test("zooming keeps the place under the pointer, and fits back", () => {
  const near = w.zoom(w.WHOLE, 2, 0.25);
  assert.deepEqual(near, { from: 0.125, to: 0.625 });
  assert.deepEqual(w.zoom(near, 0.1), w.WHOLE);
  assert.deepEqual(w.pan({ from: 0.5, to: 0.75 }, 9), { from: 0.75, to: 1 });
  assert.deepEqual(w.pan({ from: 0.5, to: 0.75 }, -1), { from: 0.25, to: 0.5 });
  assert.deepEqual(w.between(0.6, 0.2), { from: 0.2, to: 0.6 });
  const least = w.between(1, 1);
  assert.ok(least.from < least.to && least.to <= 1);
  let view = w.WHOLE;
  for (let i = 0; i < 100; i += 1) view = w.zoom(view, 2, 1);
  assert.ok(view.to - view.from > 0 && view.to <= 1);
});

test("idle stretches between the leaves are gaps, short ones are not", () => {
  const roots = [span("a", 0, 1000, [span("b", 0, 100), span("c", 600, 400)])];
  const rows = rowsOf(roots);
  const found = w.gaps(rows, w.boxOf(rows));
  assert.deepEqual(found, [{ from: 100, to: 600 }]);
  const over = w.scale({ start: 0, end: 1000 }, found);
  assert.equal(over.breaks.length, 1);
  assert.equal(over.breaks[0].ms, 500);
  assert.ok(over.at(600) - over.at(100) < 0.05);
  for (const ms of [0, 50, 100, 350, 600, 777, 1000]) assert.ok(Math.abs(over.back(over.at(ms)) - ms) < 1e-6, String(ms));
  assert.deepEqual([over.at(0), Math.round(over.at(1000) * 1e9) / 1e9], [0, 1]);
  assert.deepEqual(w.gaps(rowsOf(sample), { start: 0, end: 100 }), [{ from: 0, to: 12 }, { from: 17, to: 40 }, { from: 90, to: 100 }]);
});

test("time and place turn into each other without gaps too", () => {
  const over = w.scale({ start: 1000, end: 3000 });
  assert.deepEqual([over.at(1000), over.at(2000), over.at(3000), over.back(0.5)], [0, 0.5, 1, 2000]);
  assert.deepEqual([over.at(0), over.at(9000)], [0, 1]);
});

test("silences in a stream longer than a second are stalls", () => {
  assert.deepEqual(w.stalls([[0, 300], [10, 900], [20, 2100], [30, 3100.5]]), [{ from: 900, to: 2100 }, { from: 2100, to: 3100.5 }]);
  assert.deepEqual(w.stalls([[0, 5000]]), []);
});

test("ticks are round, few, and none stands in a gap", () => {
  const box = { start: 0, end: 1000 };
  assert.deepEqual(w.axis(box, w.scale(box), w.WHOLE).map((tick) => tick.ms), [0, 200, 400, 600, 800]);
  const close = w.axis(box, w.scale(box), { from: 0.5, to: 0.51 });
  assert.deepEqual(rounded(close.map((tick) => tick.ms)), [500, 502, 504, 506, 508]);
  const over = w.scale(box, [{ from: 100, to: 900 }]);
  for (const tick of w.axis(box, over, w.WHOLE)) assert.ok(tick.ms <= 100 || tick.ms >= 900, String(tick.ms));
});

test("the critical path runs from the end back through what was waited for", () => {
  const roots = [span("root", 0, 100, [span("x", 0, 40), span("y", 10, 20), span("z", 50, 45)])];
  const path = w.criticalPath(roots);
  assert.deepEqual(path.get("root"), [{ from: 95, to: 100 }, { from: 40, to: 50 }]);
  assert.deepEqual(path.get("z"), [{ from: 50, to: 95 }]);
  assert.deepEqual(path.get("x"), [{ from: 0, to: 40 }]);
  assert.equal(path.has("y"), false);
  assert.equal(w.criticalPath([]).size, 0);
});

test("the critical path covers the whole time of the longest root", () => {
  const roots = [span("r", 0, 500, [span("a", 20, 100, [span("b", 25, 50), span("c", 80, 30)]), span("d", 130, 360, [span("e", 140, 100)])]), span("other", 10, 50)];
  const all = [...w.criticalPath(roots).values()].flat().sort((a, b) => a.from - b.from);
  assert.equal(all.reduce((sum, one) => sum + one.to - one.from, 0), 500);
  for (let i = 1; i < all.length; i += 1) assert.equal(all[i].from, all[i - 1].to);
});

test("a very deep trace does not overflow the stack", () => {
  let deep = span("leaf", 0, 1);
  for (let i = 0; i < 20_000; i += 1) deep = span(`n${i}`, 0, 1, [deep]);
  assert.ok(w.criticalPath([deep]).size >= 1);
});

test("branches sum what lies under them, and parents that repeat count nothing", () => {
  const roots = [span("a", 0, 9, [span("b", 0, 1, [], { estimated_cost: 2 }), span("c", 1, 1, [span("d", 1, 1, [], { estimated_cost: 3 })], { estimated_cost: 3, counts: false })])];
  const { byId, most } = w.amounts(rowsOf(roots), (one) => one.estimated_cost);
  assert.deepEqual(byId.get("a"), { own: 0, branch: 5 });
  assert.deepEqual(byId.get("c"), { own: 0, branch: 3 });
  assert.equal(most, 5);
});
