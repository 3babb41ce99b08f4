// What a span costs a JavaScript program, µs: `node tests/bench/sdk_bench.mjs` prints a table. Nothing here is asserted.
// LLMFlow runs in a process of its own. Times are the best of several runs; only ratios inside one run mean anything.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { configure, flush, span, stats, traced } from "../../llmflow_web/static/sdk/llmflow.js";

const CALLS = 500;
const RUNS = 9;
const PROGRAM = fileURLToPath(new URL("../../llmflow.py", import.meta.url));
const messages = Array.from({ length: 10 }, () => ({ role: "user", content: "x".repeat(500) }));
const small = traced("tool", "small")((a, b) => a + b);
const chat = traced("llm", "chat")((_) => "y".repeat(2000));
const CASES = {
  "span(…), nothing said": () => span("tool", "block", () => undefined),
  "traced, two numbers": () => small(1, 2),
  "traced, 5 KB of messages": () => chat(messages),
  "JSON.stringify of these": () => JSON.stringify(messages),
};

async function microseconds(call) {
  let best = Infinity;
  for (let run = 0; run < RUNS; run += 1) {
    const start = performance.now();
    for (let n = 0; n < CALLS; n += 1) call();
    best = Math.min(best, (performance.now() - start) / CALLS);
    await flush(60_000);
  }
  return best * 1000;
}

async function table(title, settings) {
  configure();
  configure(settings);
  console.log(title);
  for (const [name, call] of Object.entries(CASES)) console.log(`  ${name.padEnd(32)} ${(await microseconds(call)).toFixed(1).padStart(8)}`);
}

const folder = mkdtempSync(join(tmpdir(), "llmflow-bench-"));
const options = ["--proxy-port", "0", "--dashboard-port", "0", "--data-dir", folder, "--no-price-refresh", "--log-format", "json"];
const server = spawn("python3", [PROGRAM, ...options], { stdio: ["ignore", "pipe", "inherit"] });
for await (const line of createInterface({ input: server.stdout })) {
  await table("LLMFlow there", { url: JSON.parse(line).dashboard });
  await table("LLMFlow absent", { url: "http://127.0.0.1:9" });
  await table("LLMFLOW_SDK=off", { enabled: false });
  break;
}
console.log(stats());
server.kill();
rmSync(folder, { recursive: true, force: true });
