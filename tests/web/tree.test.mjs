import assert from "node:assert/strict";
import { test } from "node:test";
import * as t from "../../llmflow_web/static/lib/tree.js";

const span = (id, start, length, children = [], more = {}) => ({ id, timestamp: start, duration_ms: length, children, ...more });
const sample = [span("a", 0, 100, [span("b", 10, 20, [span("c", 12, 5)]), span("d", 40, 50)])];

test("rows come in tree order with depth, position and family size", () => {
  const rows = t.flatten(sample, new Set());
  assert.deepEqual(rows.map((row) => [row.span.id, row.depth, row.position, row.siblings, row.children, row.parent]),
    [["a", 0, 1, 1, 2, -1], ["b", 1, 1, 2, 1, 0], ["c", 2, 1, 1, 0, 1], ["d", 1, 2, 2, 0, 0]]);
});

test("folding hides what lies below and nothing else", () => {
  assert.deepEqual(t.flatten(sample, new Set(["b"])).map((row) => row.span.id), ["a", "b", "d"]);
  assert.deepEqual(t.foldable(sample), ["a", "b"]);
});

test("a very deep trace does not overflow the stack", () => {
  let deep = span("leaf", 0, 1);
  for (let i = 0; i < 50_000; i += 1) deep = span(`n${i}`, 0, 1, [deep]);
  assert.equal(t.countSpans([deep]), 50_001);
});

test("a flat list nests by parent, orphans and self-parents are roots", () => {
  const roots = t.nest([{ id: "b", parent_id: "a" }, { id: "a" }, { id: "x", parent_id: "gone" }, { id: "y", parent_id: "y" }]);
  assert.deepEqual(roots.map((root) => root.id), ["a", "x", "y"]);
  assert.equal(roots[0].children[0].id, "b");
});

test("nanoseconds give the fraction of a millisecond", () => {
  assert.equal(t.startOf({ id: "a", start_ns: "1700000000000500000", timestamp: 5 }), 1700000000000.5);
  assert.equal(t.startOf({ id: "a", timestamp: 5 }), 5);
});

test("looking for the next error goes round", () => {
  const rows = t.flatten([span("a", 0, 1), span("b", 0, 1, [], { status: 500 }), span("c", 0, 1)], new Set());
  const isError = (s) => (s.status ?? 0) >= 400;
  assert.equal(t.nextRow(rows, 0, 1, isError), 1);
  assert.equal(t.nextRow(rows, 2, 1, isError), 1);
  assert.equal(t.nextRow(rows, 0, -1, isError), 1);
  assert.equal(t.nextRow(rows, 0, 1, () => false), -1);
});
