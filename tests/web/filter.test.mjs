import assert from "node:assert/strict";
import { test } from "node:test";
import * as f from "../../llmflow_web/static/lib/filter.js";

test("address and filter are two writings of one thing", () => {
  const filter = { ...f.empty(), q: 'model:gpt-4o "two words" -no', status: "error", since: "24h", sort: "-cost" };
  assert.deepEqual(f.fromSearch(f.toSearch(filter)), filter);
  assert.equal(f.toSearch(f.empty()), "");
});

test("parameters of older links still work and nonsense is dropped", () => {
  const filter = f.fromSearch("?date=1h&session_id=s1&evil=1&from=abc&since=;drop");
  assert.equal(filter.session, "s1");
  assert.equal(filter.from, "");
  assert.equal(filter.since, "");
  assert.equal(f.fromSearch("?date=1h").since, "1h");
});

test("the API gets its own names, and the time as a word of the grammar", () => {
  const api = f.toApi({ ...f.empty(), q: "hello", since: "1h", model: "gpt-4o", session: "s", from: "1", to: "2" });
  assert.deepEqual(api, { filter: "hello since:1h", model: "gpt-4o", date_from: "1", date_to: "2", session_id: "s" });
});

test("every active thing has a chip, and taking the chip away takes only that away", () => {
  const filter = { ...f.empty(), q: 'cost>0.01 "a b" tag:x', provider: "groq", from: "5", to: "9" };
  const chips = f.chips(filter, (ms) => `t${ms}`);
  assert.deepEqual(chips.map((chip) => chip.label), ["cost>0.01", '"a b"', "tag:x", "provider: groq", "t5 → t9"]);
  assert.equal(f.without(filter, chips[1]).q, "cost>0.01 tag:x");
  assert.equal(f.without(filter, chips[3]).provider, "");
  const open = f.without(filter, chips[4]);
  assert.deepEqual([open.from, open.to], ["", ""]);
});

test("a sort is no filter", () => {
  assert.equal(f.isActive({ ...f.empty(), sort: "-cost" }), false);
  assert.equal(f.isActive({ ...f.empty(), q: "x" }), true);
});

test("values with spaces are quoted and cannot break out", () => {
  assert.equal(f.term("tag", "a b"), 'tag:"a b"');
  assert.equal(f.term("tag", 'a"b'), "tag:ab");
});

test("old hashes become paths", () => {
  assert.equal(f.pathFromHash("#timeline"), "/timeline");
  assert.equal(f.pathFromHash("#traces?trace=abc"), "/traces/abc");
  assert.equal(f.pathFromHash("#unknown"), null);
  assert.equal(f.pathFromHash(""), null);
});
