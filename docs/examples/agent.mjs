/**
 * An agent with steps inside steps: five calls in one trace, three of them at once, a tool before each of those.
 *
 *     llmflow demo                                        # in another terminal; needs neither key nor network
 *     npm install openai
 *     curl -o llmflow.mjs http://localhost:3000/sdk/llmflow.js
 *     node agent.mjs "Why is the sky blue?"
 *
 * With a key it is `llmflow`, and OPENAI_API_KEY. The trace is at http://localhost:3000. Where LLMFlow listens elsewhere,
 * OPENAI_BASE_URL (its proxy, http://localhost:8080/v1) and LLMFLOW_URL (its dashboard) say so.
 */
import OpenAI from "openai";
import { flush, span, trace, wrap } from "./llmflow.mjs";

const ASPECTS = ["what is known", "how it works", "what people get wrong"];
const NOTES = {
  "what is known": "Settled since the 1870s.",
  "how it works": "Short waves are scattered more than long ones.",
  "what people get wrong": "It is not a reflection of the sea.",
};

const client = wrap(new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://localhost:8080/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "not-needed-by-the-demo",
}));

/** Ask the model; the call stands under whatever span we are in. */
async function ask(prompt) {
  const reply = await client.chat.completions.create({ model: "gpt-4o-mini", messages: [{ role: "user", content: prompt }] });
  return reply.choices[0].message.content ?? "";
}

/** Decide what to write about. */
const plan = (question) => span("chain", "plan", () => ask(`Outline a briefing in three lines: ${question}`));

/** Find our own notes; a real agent would search. */
const lookUp = (aspect) => span({ type: "tool", name: "look_up", input: { aspect } }, () => NOTES[aspect]);

/** Find out about one aspect. */
const research = (question, aspect) => span("agent", "research", (self) => {
  self.set({ aspect });
  return ask(`${question} Write a paragraph on ${aspect}. Our notes: ${lookUp(aspect)}`);
});

/** Make one text of it all. */
const write = (outline, found) => span("chain", "write", () => ask(["Write a briefing.", outline, ...found].join("\n\n")));

/** Plan, research three aspects at once, write. */
const briefing = (question) => trace("briefing", async () => {
  const outline = await plan(question);
  const found = await Promise.all(ASPECTS.map((aspect) => research(question, aspect)));
  return write(outline, found);
}, { sessionId: "example", tags: ["example"], input: { question } });

console.log(await briefing(process.argv.slice(2).join(" ") || "Why is the sky blue?"));
await flush();
