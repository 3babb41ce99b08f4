import assert from "node:assert/strict";
import { test } from "node:test";
import * as c from "../../llmflow_web/static/lib/chips.js";
import * as f from "../../llmflow_web/static/lib/filter.js";
import { pathFromHash } from "../../llmflow_web/static/lib/hash.js";

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
  const chips = c.chips(filter, (ms) => `t${ms}`);
  assert.deepEqual(chips.map((chip) => chip.label), ["cost>0.01", '"a b"', "tag:x", "provider: groq", "t5 → t9"]);
  assert.equal(c.without(filter, chips[1]).q, "cost>0.01 tag:x");
  assert.equal(c.without(filter, chips[3]).provider, "");
  const open = c.without(filter, chips[4]);
  assert.deepEqual([open.from, open.to], ["", ""]);
});

test("a sort is no filter", () => {
  assert.equal(f.isActive({ ...f.empty(), sort: "-cost", cols: "name,cost" }), false);
  assert.equal(f.isActive({ ...f.empty(), q: "x" }), true);
});

test("values with spaces are quoted and cannot break out", () => {
  assert.equal(f.term("tag", "a b"), 'tag:"a b"');
  assert.equal(f.term("tag", 'a"b'), "tag:ab");
});

test("old hashes become paths", () => {
  assert.equal(pathFromHash("#timeline"), "/timeline");
  assert.equal(pathFromHash("#traces?trace=abc"), "/traces/abc");
  assert.equal(pathFromHash("#unknown"), null);
  assert.equal(pathFromHash(""), null);
});

test("the order and the columns are in the address, but only ones there are", () => {
  assert.equal(f.fromSearch("?sort=-cost&cols=name,cost").cols, "name,cost");
  assert.equal(f.fromSearch("?sort=evil").sort, "");
  assert.equal(f.fromSearch("?cols=<b>").cols, "");
  assert.deepEqual(f.toApi({ ...f.empty(), cols: "name", sort: "cost" }), { sort: "cost" });
  assert.deepEqual(f.cleared({ ...f.empty(), q: "x", model: "m", cols: "name", sort: "cost" }), { ...f.empty(), cols: "name", sort: "cost" });
});

test("a word is added, turned into its opposite, and taken away by the same click", () => {
  assert.equal(c.toggled("plan", "model:gpt-4o"), "plan model:gpt-4o");
  assert.equal(c.toggled("plan model:gpt-4o", "model:gpt-4o", true), "plan -model:gpt-4o");
  assert.equal(c.toggled("plan -model:gpt-4o", "model:gpt-4o"), "plan model:gpt-4o");
  assert.equal(c.toggled('tag:"a b" plan', 'tag:"a b"'), "plan");
});

test("calls within traces are listed where the address says so, and a chip takes that away", () => {
  const filter = f.fromSearch("?model=gpt-4o&spans=all");
  assert.deepEqual(f.toApi(filter), { model: "gpt-4o", roots: "" });
  assert.equal(f.toSearch(filter), "?model=gpt-4o&spans=all");
  assert.equal(c.chips(filter).at(-1).label, "calls within traces, too");
  assert.deepEqual(f.toApi(f.fromSearch("?spans=none")), {});
});
