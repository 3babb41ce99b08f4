// What a span costs a JavaScript program, in microseconds: `node tests/bench/sdk_bench.mjs`. Nothing is sent meanwhile.
import { configure, span, stats } from "../../llmflow_web/static/sdk/llmflow.js";

const ROUNDS = 3000; // fewer than may wait
const messages = Array.from({ length: 10 }, (_, n) => ({ role: "user", content: `${n} ${"words ".repeat(80)}` }));
const CASES = {
  "nothing said": () => span("tool", "s", () => undefined),
  "two numbers": () => span("tool", "s", (one) => { one.set({ promptTokens: 3, completionTokens: 4 }); }),
  "5 KB of messages": () => span({ type: "llm", name: "s", input: messages }, () => undefined),
};

configure({ url: "http://127.0.0.1:9" });
for (const [name, work] of Object.entries(CASES)) {
  const times = [];
  for (let round = 0; round < 7; round += 1) {
    const begin = performance.now();
    for (let n = 0; n < ROUNDS; n += 1) work();
    times.push(((performance.now() - begin) * 1000) / ROUNDS);
  }
  console.log(name.padEnd(20), times.sort((a, b) => a - b)[3].toFixed(1));
}
configure({ enabled: false });
const begin = performance.now();
for (let n = 0; n < ROUNDS * 10; n += 1) CASES["nothing said"]();
console.log("off".padEnd(20), (((performance.now() - begin) * 1000) / ROUNDS / 10).toFixed(2));
console.log(stats());
process.exit(0);
