import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { addresses, agents } from "../../llmflow_web/static/lib/snippets.js";

const page = (name) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");
const { dashboard, proxy } = addresses("localhost", 3000, 8080);
const setups = agents(dashboard, proxy);
const codes = (setup, way) => setup[way].map((snippet) => snippet.code);

/** Say whether a page has a block of code that is exactly this. */
const holds = (text, code) => [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].some((block) => `\n${block[1]}`.includes(`\n${code}\n`));

test("docs/agents.md has every line of every agent, as the setup screen shows it", () => {
  const text = page("docs/agents.md");
  for (const setup of setups)
    for (const code of [...codes(setup, "telemetry"), ...codes(setup, "proxy")]) assert.ok(holds(text, code), `${setup.name}: ${code}`);
});

test("the README has the first way of every agent, line by line", () => {
  const text = page("README.md");
  for (const setup of setups) assert.ok(holds(text, setup.telemetry[0].code), setup.telemetry[0].code);
});

test("addresses are those LLMFlow runs on", () => {
  assert.deepEqual(addresses("::1", 4000, 4001), { dashboard: "http://[::1]:4000", proxy: "http://[::1]:4001" });
  assert.deepEqual(addresses("box", 1, 2, true), { dashboard: "http://box:1/t/YOUR_TOKEN", proxy: "http://box:2/t/YOUR_TOKEN" });
  const text = JSON.stringify(agents("http://box:4000", "http://box:4001"));
  assert.ok(!text.includes("localhost") && !text.includes("3000") && !text.includes("8080"));
  assert.match(text, /http:\/\/box:4000\/v1\/logs/);
  assert.match(text, /http:\/\/box:4001\/passthrough\/anthropic/);
});
