import assert from "node:assert/strict";
import { test } from "node:test";
import * as f from "../../llmflow_web/static/lib/format.js";

test("a duration takes the unit a reader expects", () => {
  const cases = [[null, "–"], [NaN, "–"], [0, "0 ms"], [0.4, "0.4 ms"], [812, "812 ms"], [999.6, "1.00 s"], [1240, "1.24 s"], [14_000, "14.0 s"], [59_990, "1m 00s"], [125_000, "2m 05s"], [3_720_000, "1h 02m"]];
  for (const [ms, text] of cases) assert.equal(f.duration(ms), text, String(ms));
});

test("an unknown cost is a dash, never a number", () => {
  const cases = [[null, "–"], [undefined, "–"], [0, "$0"], [0.00003, "$0.00003"], [0.000003, "<$.00001"], [0.000098, "$0.0001"], [0.00123, "$0.0012"], [0.123, "$0.123"], [1234.5, "$1,234.50"], [-2, "-$2.00"]];
  for (const [usd, text] of cases) assert.equal(f.cost(usd), text, String(usd));
  assert.equal(f.costExact(0.000001875), "$0.00000188");
  assert.equal(f.costExact(0.25), "$0.2500");
  assert.equal(f.perMillion(0.00000015), "$0.15");
});

test("short counts never print a thousand thousands", () => {
  const cases = [[null, "–"], [0, "0"], [999, "999"], [1000, "1K"], [1234, "1.2K"], [99_960, "100K"], [999_960, "1M"], [1_250_000, "1.3M"]];
  for (const [n, text] of cases) assert.equal(f.compact(n), text, String(n));
});

test("sizes, shares and times read plainly", () => {
  assert.equal(f.bytes(1023), "1023 B");
  assert.equal(f.bytes(1536), "1.5 KB");
  assert.equal(f.bytes(5 * 1024 * 1024), "5.0 MB");
  assert.equal(f.percent(0.005), "0.5%");
  assert.equal(f.percent(0), "0%");
  assert.equal(f.ago(10_000, 11_000), "now");
  assert.equal(f.ago(0, 59_000), "59s");
  assert.equal(f.ago(0, 3 * 3600_000), "3h");
  assert.equal(f.iso(0), "1970-01-01T00:00:00.000Z");
  assert.equal(f.iso(9e99), "");
  assert.equal(f.plural(1, "span"), "1 span");
  assert.equal(f.plural(2, "reply", "replies"), "2 replies");
});

test("tokens per second leave the wait for the first token out", () => {
  assert.equal(f.tokensPerSecond({ completion_tokens: 100, duration_ms: 3000, ttft_ms: 1000 }), 50);
  assert.equal(f.tokensPerSecond({ completion_tokens: 100, duration_ms: 2000, ttft_ms: null }), 50);
  assert.equal(f.tokensPerSecond({ completion_tokens: 100, duration_ms: 2000, ttft_ms: 1999 }), 50);
  assert.equal(f.tokensPerSecond({ completion_tokens: 0, duration_ms: 2000 }), null);
});

test("a cut never splits a surrogate pair", () => {
  assert.equal(f.head("ab😀", 3), "ab");
  assert.equal(f.head("ab", 3), "ab");
});
