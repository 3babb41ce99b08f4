import assert from "node:assert/strict";
import { test } from "node:test";
import { change, deltaRow, folded, known, signed, tally } from "../../llmflow_web/static/lib/diff.js";
import { addressWith, callsAddress, traceAddress } from "../../llmflow_web/static/lib/links.js";
import { shares, speakers, steps, told } from "../../llmflow_web/static/lib/replay.js";
import { axisMarks, durationTicks, isUneven, linePath, logTicks, stack, thin, ticks } from "../../llmflow_web/static/lib/scale.js";
import { sinceMs } from "../../llmflow_web/static/lib/since.js";
import { addresses, agents, sdks } from "../../llmflow_web/static/lib/snippets.js";
import { measure, pointValue, summaryValue } from "../../llmflow_web/static/lib/units.js";

// ---- addresses
test("a value leads to the calls it is made of, whatever the API calls its parameters", () => {
  const params = (address) => Object.fromEntries(new URL(address, "http://x").searchParams);
  assert.deepEqual(params(callsAddress({ model: "gpt-4o", date_from: "5", date_to: 9, session_id: "s 1" }, { status: "error" })), { model: "gpt-4o", from: "5", to: "9", session: "s 1", status: "error", spans: "all" });
  assert.deepEqual(params(callsAddress({ service_name: "my shop", filter: "-tag:*", provider: null })), { q: 'service:"my shop" -tag:*', spans: "all" });
});

test("addresses keep hostile ids in their place", () => {
  assert.equal(traceAddress("../x?y", "a&b"), "/traces/..%2Fx%3Fy?span=a%26b");
  assert.equal(addressWith("/logs", "?q=a&id=3", { id: "", severity: "17" }), "/logs?q=a&severity=17");
  assert.equal(addressWith("/logs", "?q=a", { q: null }), "/logs");
});

// ---- charts
test("axis marks are round, begin at zero and reach the highest value", () => {
  assert.deepEqual(ticks(0), [0]);
  assert.deepEqual(ticks(7, 4), [0, 2, 4, 6, 8]);
  assert.deepEqual(ticks(0.0031, 3), [0, 0.002, 0.004]);
  assert.deepEqual(ticks(2, 4, true), [0, 1, 2]);
  for (const most of [1e-9, 0.4, 1, 99, 12_345, 1e12]) {
    const marks = ticks(most, 4);
    assert.ok(marks.at(-1) >= most * 0.999999 && marks.length <= 6, `${most}: ${marks}`);
  }
  assert.deepEqual(durationTicks(90_000, 3), [0, 30_000, 60_000, 90_000]);
  assert.deepEqual(durationTicks(4_000_000, 3), [0, 1_800_000, 3_600_000, 5_400_000]);
});

test("marks of the time axis stand where days begin, when there are several", () => {
  const hours = Array.from({ length: 96 }, (_, i) => ({ isFirst: i % 24 === 3 }));
  assert.deepEqual(axisMarks(hours, 5), [3, 27, 51, 75]);
  assert.deepEqual(axisMarks(Array.from({ length: 10 }, () => ({})), 5), [0, 2, 4, 6, 8]);
  assert.deepEqual(thin(3, 5), [0, 1, 2]);
});

test("a line breaks where nothing is known instead of falling to zero", () => {
  const path = linePath([1, 2, null, 3, null], (i) => i * 10, (value) => value);
  assert.equal(path, "M0 1L10 2M28 3h4");
  assert.equal(linePath([null, undefined], (i) => i, (v) => v), "");
  assert.equal(linePath([1, null, 2, null, null, 3], (i) => i * 10, (value) => value, 1), "M0 1L20 2M48 3h4");
});

test("series are stacked in their order", () => {
  assert.deepEqual(stack([[1, 2], [3, 0]]), [[[0, 1], [0, 2]], [[1, 4], [2, 2]]]);
});

// ---- sessions
const message = (role, text) => ({ role, parts: [{ type: "text", text }] });

test("a turn tells only what the turn before did not", () => {
  const before = [message("system", "s"), message("user", "a"), message("assistant", "b")];
  assert.equal(told([], [...before, message("user", "c")]), 0);
  assert.equal(told(before, [...before, message("user", "c")]), 3);
  assert.equal(told(before, [message("system", "s"), message("user", "a"), message("assistant", "b, shortened"), message("user", "c")]), 3);
  assert.equal(told(before, [message("system", "other")]), 0);
});

test("the last call to a model speaks for its trace, before agents, never a joined one", () => {
  const span = (id, span_type, timestamp, more) => ({ id, span_type, timestamp, ...more });
  const spans = [span("root", "agent", 0), span("one", "llm", 1, { parent_id: "root" }), span("two", "llm", 2, { parent_id: "root" }), span("twin", "llm", 3, { joined_to: "two" }), span("t", "tool", 4), span("e", "event", 5)];
  assert.deepEqual(speakers(spans).map((one) => one.id), ["two", "one", "root"]);
  assert.deepEqual(steps(spans).map((one) => one.id), ["t"]);
});

test("shares of the time of a session add up to no more than the whole", () => {
  assert.deepEqual(shares([{ from: 100, to: 150 }, { from: 180, to: 200 }]), [{ left: 0, width: 0.5 }, { left: 0.8, width: 0.2 }]);
  assert.deepEqual(shares([{ from: 5, to: 5 }]), [{ left: 0, width: 0 }]);
});

// ---- comparing
test("a difference has a sign, and what is unknown has none", () => {
  assert.equal(signed("ms", -1200), "−1.20 s");
  assert.equal(signed("USD", 0.002), "+$0.0020");
  assert.equal(signed("tokens", 0), "same");
  assert.equal(signed("tokens", null), "–");
  assert.deepEqual([change(0.5), change(1.031), change(12.4), change(1), change(null)], ["−50%", "+3.1%", "× 12.4", "", ""]);
  const row = deltaRow({ name: "cached_tokens", unit: "tokens", a: null, b: 3, delta: null, ratio: null });
  assert.deepEqual([row.a, row.b, row.delta, row.direction, row.isPart], ["–", "3", "–", 0, true]);
  assert.equal(known([{ a: null, b: null }, { a: 0, b: null }]).length, 1);
});

test("long stretches of the same are put together, short ones stay", () => {
  const rows = ["same", "same", "same", "changed", "same", "added"].map((kind, n) => ({ change: kind, n }));
  assert.deepEqual(folded(rows).map((one) => (Array.isArray(one) ? one.length : one.n)), [3, 3, 4, 5]);
  assert.equal(tally(rows), "1 changed, 1 added");
  assert.equal(tally([]), "all the same");
});

// ---- telemetry
test("a metric is told in its unit, and nothing is told of what is not known", () => {
  assert.deepEqual([measure(1.5, "s"), measure(2048, "By"), measure(0.25, "USD"), measure(1234, "{token}"), measure(5, "1"), measure(null, "s"), measure(0.0123, null), measure(45, "%")], ["1.50 s", "2.0 KB", "$0.250", "1.2K token", "5", "–", "0.0123", "45%"]);
  assert.equal(pointValue({ metric_type: "gauge", value_int: 14 }), 14);
  assert.equal(pointValue({ metric_type: "sum", value_double: 0 }), 0);
  assert.equal(pointValue({ metric_type: "histogram", value_int: 4, value_double: 2 }), 0.5);
  assert.equal(pointValue({ metric_type: "histogram", value_int: 0, value_double: 0 }), null);
  assert.equal(pointValue(undefined), null);
  assert.deepEqual(summaryValue({ metric_type: "sum", total: 0 }), { words: "total", value: 0 });
  assert.deepEqual(summaryValue({ metric_type: "histogram", observations: 4, avg_double: 2 }), { words: "mean of 4", value: 2 });
  assert.deepEqual(summaryValue({ metric_type: "gauge", avg_double: null, max_int: 20 }), { words: "highest", value: 20 });
});

test("how far back is read, nonsense is no time", () => {
  assert.equal(sinceMs("15m", 1_000_000), 100_000);
  for (const text of ["", null, "yesterday", "7y"]) assert.equal(sinceMs(text, 5), null);
});

// ---- setup
test("every way to send a call has its own id and the addresses LLMFlow runs on", () => {
  const { dashboard, proxy } = addresses("box", 4000, 4001);
  const all = [...sdks(dashboard, proxy), ...agents(dashboard, proxy)];
  assert.equal(new Set(all.map((one) => one.id)).size, all.length);
  const text = JSON.stringify(all);
  assert.ok(!/localhost|:3000|:8080/.test(text));
  for (const one of sdks(dashboard, proxy)) {
    assert.ok(one.snippets.length > 0, one.id);
    assert.equal(new Set(one.snippets.map((part) => part.name)).size, one.snippets.length, one.id);
    if (one.id !== "headers") assert.match(JSON.stringify(one.snippets), one.group === "proxy" ? /box:4001/ : /box:4000/, one.id);
  }
  const ids = all.map((one) => one.id);
  for (const id of ["curl", "openai-python", "openai-js", "anthropic", "gemini", "ollama", "langchain", "litellm", "vercel-ai", "otel", "openinference", "openllmetry", "claude-code", "codex-cli", "gemini-cli", "copilot"]) assert.ok(ids.includes(id), id);
});

test("an axis of durations goes by factors where a few dwarf the others", () => {
  assert.equal(isUneven([300, 400, 500, 9000]), false);
  assert.equal(isUneven([300, 400, 500, 0, 200_000]), true);
  assert.deepEqual(logTicks([0, 300, 500, 200_000]), [100, 1000, 10_000, 60_000, 600_000]);
  assert.deepEqual(logTicks([1000]), [1000, 10_000]);
  assert.deepEqual(logTicks([0.01, 5]), [0.1, 1, 10]);
});
