import assert from "node:assert/strict";
import { test } from "node:test";
import { asCurl, asJavaScript, asPython, pythonLiteral } from "../../llmflow_web/static/lib/code.js";
import { kindOf } from "../../llmflow_web/static/lib/kinds.js";
import { outcome, title } from "../../llmflow_web/static/lib/outcome.js";
import { MAX_PAGES, PAGE, Pages, keyOf } from "../../llmflow_web/static/lib/pages.js";
import { pieces, ranges, spanMatches } from "../../llmflow_web/static/lib/search.js";
import { events, isStream } from "../../llmflow_web/static/lib/sse.js";

const call = {
  method: "POST", url: "http://localhost:8080/v1/chat/completions", keyName: "OPENAI_API_KEY",
  headers: { Authorization: "Bearer sk-p…[redacted 48]", Host: "x", "X-Stainless-Os": "L", "content-type": "application/json" },
  body: { model: "m", messages: [{ role: "user", content: "it's $HOME" }], stream: true, stop: null },
};

test("copied code never holds a redacted key but the name of a variable", () => {
  for (const text of [asCurl(call), asPython(call), asJavaScript(call)]) {
    assert.ok(!text.includes("redacted"), text);
    assert.ok(text.includes("OPENAI_API_KEY"), text);
    assert.ok(!/stainless/i.test(text));
  }
  assert.match(asCurl(call), /-H 'Authorization: Bearer '"\$OPENAI_API_KEY"''/);
  assert.match(asCurl(call), /it'\\''s \$HOME/);
});

test("Python source has Python's constants", () => {
  assert.equal(pythonLiteral({ a: [true, false, null, 1.5, "x\n"], b: {} }), '{\n    "a": [\n        True,\n        False,\n        None,\n        1.5,\n        "x\\n",\n    ],\n    "b": {},\n}');
});

test("an outcome is always a word, not only a colour", () => {
  assert.deepEqual(outcome({ status: 429 }), { kind: "error", icon: "error", word: "429", label: "error 429, Rate limit" });
  assert.equal(outcome({ status: 200 }).word, "OK");
  assert.equal(outcome({ status: 200, error_count: 2 }).kind, "warn");
  assert.equal(outcome({ running: true, status: null }).kind, "running");
  assert.equal(kindOf("rerank"), "retrieval");
  assert.equal(kindOf("nonsense"), "other");
  assert.equal(title({ request_path: "/v1/x" }), "/v1/x");
});

const row = (n) => ({ trace_id: `t${n}`, id: `s${n}`, timestamp: n });

const page = (from, count = PAGE) => Array.from({ length: count }, (_, i) => row(1_000_000 - from - i));

test("a list of pages finds its rows, before and after dropping them", () => {
  const list = new Pages();
  for (let n = 0; n < MAX_PAGES + 5; n += 1) list.fill(n, page(n * PAGE), `c${n + 1}`);
  assert.equal(list.length, (MAX_PAGES + 6) * PAGE, "a page more is expected where the end is not known");
  assert.equal(list.at(0), undefined);
  assert.equal(list.pages.filter((one) => one.rows).length, MAX_PAGES);
  assert.deepEqual(list.place(PAGE + 7), { page: 1, offset: 7 });
  assert.equal(list.pages[1].cursor, "c1");
  list.fill(0, page(0), "c1");
  assert.equal(list.at(7).id, "s999993");
  assert.equal(list.pages.filter((one) => one.rows).length, MAX_PAGES);
});

test("a page in the middle can come first, and knows its place by its distance", () => {
  const list = new Pages();
  list.fill(0, page(0), "c1");
  list.expect(1050);
  assert.equal(list.length, 1050);
  assert.deepEqual(list.place(730), { page: 7, offset: 30 });
  assert.equal(list.pages[7].cursor, undefined);
  assert.equal(list.offset(7), 700);
  list.fill(7, page(700), "c8");
  assert.equal(list.at(730).id, "s999270");
  assert.equal(list.pages[8].cursor, "c8");
  assert.equal(list.pages[1].cursor, "c1");
  list.fill(10, page(1000, 40), null);
  assert.equal(list.length, 1040);
  assert.equal(list.isComplete, true);
});

test("a guess that was too high is taken back to what was seen", () => {
  const list = new Pages();
  list.fill(0, page(0), "c1");
  list.expect(5000);
  list.fill(40, [], null);
  assert.equal(list.length, 2 * PAGE);
  assert.equal(list.isComplete, false);
  list.fill(1, [], null);
  assert.equal(list.length, PAGE);
  assert.equal(list.isComplete, true);
});

test("whoever goes beyond what is known finds a place there until the end is known", () => {
  const list = new Pages();
  list.fill(0, page(0), "c1");
  list.reach(950);
  assert.ok(list.length > 950);
  assert.equal(list.at(950), undefined);
  for (let n = 1; n < 3; n += 1) list.fill(n, page(n * PAGE), n < 2 ? "c2" : null);
  list.reach(950);
  assert.equal(list.length, 3 * PAGE);
});

test("a row that comes twice is renewed, not doubled", () => {
  const list = new Pages();
  list.fill(0, [row(1)], null);
  assert.equal(list.upsert(row(2)), "new");
  assert.equal(list.upsert({ ...row(2), status: 500 }), "update");
  assert.equal(list.upsert({ ...row(1), status: 200 }), "update");
  list.fill(0, [row(2), row(1), row(0)], null);
  assert.equal(list.length, 3);
  assert.equal(list.at(0).status, 500);
  assert.equal(list.indexOf(keyOf(row(1))), 1);
  assert.equal(list.remove(keyOf(row(1))), true);
  assert.equal(list.length, 2);
  assert.equal(list.remove("no"), false);
});

test("a call that ran is one row, and runs no more once its own row is there", () => {
  const list = new Pages();
  list.upsert({ ...row(5), running: true, error: "so far" });
  list.upsert({ ...row(5), status: 200 });
  assert.equal(list.length, 1);
  assert.deepEqual(list.at(0), { ...row(5), status: 200 });
});

test("live rows stand in the order in which the calls began", () => {
  const list = new Pages();
  for (const n of [1, 5, 3, 4]) list.upsert(row(n));
  assert.deepEqual(list.head.map((r) => r.timestamp), [5, 4, 3, 1]);
});

test("search finds without regard to case and keeps the text whole", () => {
  assert.deepEqual(ranges("Abcabc", "ABC"), [[0, 3], [3, 6]]);
  assert.equal(pieces("xAbcy", "abc").map((p) => p.text).join(""), "xAbcy");
  assert.deepEqual(pieces("", "a"), [{ text: "", hit: false }]);
  assert.deepEqual(ranges("İstanbul İ", "istanbul"), []);
  assert.equal(spanMatches({ span_name: "Search web" }, "WEB"), true);
});

test("a stream is cut into its events with their arrival times", () => {
  const text = 'data: {"a":1}\n\nevent: x\r\ndata: 2\r\n\r\n: comment\n\ndata: [DONE]';
  const list = events(text, [[0, 120], [15, 180]]);
  assert.deepEqual(list.map((e) => [e.event, e.data, e.ms]), [["", '{"a":1}', 120], ["x", "2", 180], ["", "[DONE]", 180]]);
  assert.equal(isStream({ "Content-Type": "text/event-stream" }, "x"), true);
  assert.equal(isStream({}, "data: 1"), true);
  assert.equal(isStream({}, { a: 1 }), false);
});
