import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, visible } from "../../llmflow_web/static/lib/format.js";
import * as history from "../../llmflow_web/static/lib/history.js";
import * as nodes from "../../llmflow_web/static/lib/nodes.js";
import { title } from "../../llmflow_web/static/lib/outcome.js";
import { flatten, withTwins } from "../../llmflow_web/static/lib/tree.js";

const say = (role, text) => ({ role, parts: [{ type: "text", text }] });

test("history is what both calls tell alike from the beginning, reasoning aside", () => {
  const before = [say("system", "s"), say("user", "u"), { role: "assistant", parts: [{ type: "reasoning", text: "hm" }, { type: "text", text: "a" }], finish_reason: "stop" }];
  assert.equal(history.unchanged(before, [say("system", "s"), say("user", "u"), say("assistant", "a"), say("user", "next")]), 3);
  assert.equal(history.unchanged(before, [say("system", "other"), say("user", "u")]), 0);
  assert.equal(history.unchanged([], [say("user", "u")]), 0);
});

test("the call before is the model's call that began last before this one", () => {
  const spans = [{ id: "a", span_type: "llm", timestamp: 1 }, { id: "t", span_type: "tool", timestamp: 2 }, { id: "twin", span_type: "llm", timestamp: 2.5, joined_to: "a" }, { id: "b", span_type: "llm", timestamp: 3 }];
  assert.equal(history.callBefore(spans, "b").id, "a");
  assert.equal(history.callBefore(spans, "a"), null);
  assert.equal(history.callBefore(spans, "x"), null);
});

test("a tool call finds its span: those answered before the call, those asked for after it", () => {
  const spans = [
    { id: "s0", span_type: "tool", span_name: "search", timestamp: 1 }, { id: "s1", span_type: "tool", span_name: "execute_tool search", timestamp: 5 },
    { id: "s2", span_type: "tool", span_name: "search", timestamp: 20 }, { id: "b", span_type: "tool", span_name: "book", timestamp: 21 },
  ];
  const calls = [{ id: "c1", name: "search", isAnswer: false }, { id: "c2", name: "search", isAnswer: true }, { id: "c3", name: "none", isAnswer: true }];
  const found = history.toolSpans(calls, spans, { id: "llm", timestamp: 10 });
  assert.equal(found.get("c1").id, "s1");
  assert.equal(found.get("c2").id, "s2");
  assert.equal(found.has("c3"), false);
});

test("a value is told level by level, long text by its head", () => {
  const value = { a: [1, "x".repeat(1000), null], b: {}, role: "user" };
  assert.deepEqual(nodes.node(null, value), { key: null, kind: "object", size: 3, text: "{ role: user }" });
  assert.deepEqual(nodes.children(value, [], 0, 2).map((n) => [n.key, n.kind, n.size]), [["a", "array", 3], ["b", "object", 0]]);
  const [one, long, none] = nodes.children(value, ["a"], 0, 100);
  assert.deepEqual([one.text, long.size, long.text.length, none.kind], ["1", 1000, 600, "null"]);
  assert.equal(nodes.at(value, ["a", 0]), 1);
  assert.deepEqual(nodes.children(value, ["nope"], 0, 1), []);
});

test("characters nobody sees are written out in names", () => {
  assert.equal(visible("gpt\u202e4o"), "gpt‹U+202E›4o");
  assert.equal(visible("a\u200bb\u2066c"), "a‹U+200B›b‹U+2066›c");
  assert.equal(visible("plain ä 日本 👨\u200d👩\n"), "plain ä 日本 👨\u200d👩\n");
  assert.equal(visible("ad\u200dmin"), "ad‹U+200D›min");
  assert.equal(title({ span_name: "x\u202ey" }), "x‹U+202E›y");
  assert.equal(duration(1500), "1.50 s");
});

test("an application's span and our call of the same request are one row, where the application has it", () => {
  const tree = [{ id: "app", children: [{ id: "own", joined_to: "call", children: [{ id: "call", children: [] }, { id: "under", children: [] }] }, { id: "last", children: [] }] }];
  const rows = flatten(withTwins(tree), new Set());
  assert.deepEqual(rows.map((row) => [row.span.id, row.depth]), [["app", 0], ["call", 1], ["under", 2], ["last", 1]]);
  assert.equal(rows[1].span.twin.id, "own");
});

test("a call that stands elsewhere in the tree moves to its twin, and two twins make one row", () => {
  const tree = [{ id: "x", joined_to: "t/call", children: [{ id: "y", joined_to: "call", children: [] }] }, { id: "call", children: [{ id: "k", children: [] }] }];
  assert.deepEqual(flatten(withTwins(tree), new Set()).map((row) => [row.span.id, row.depth]), [["call", 0], ["k", 1]]);
  const alone = [{ id: "x", joined_to: "gone", children: [] }];
  assert.equal(withTwins(alone), alone);
  const around = [{ id: "call", children: [{ id: "x", joined_to: "call", children: [] }] }];
  assert.equal(withTwins(around), around);
});
