// The official SDKs, wrapped: every kind of call stands under the span it was made in.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { flush, span, trace, wrap, wrapOpenAI } from "./llmflow.mjs";

const messages = [{ role: "user", content: "Why is the sky blue?" }];
const model = "gpt-4o-mini";
const client = wrapOpenAI(new OpenAI({ baseURL: `${process.env.PROXY_URL}/v1`, apiKey: "sk-none" }));
const plain = new OpenAI({ baseURL: `${process.env.PROXY_URL}/v1`, apiKey: "sk-none" });
const claude = wrap(new Anthropic({ baseURL: `${process.env.PROXY_URL}/anthropic`, apiKey: "none" }));

await trace("root", async () => {
  await span("chain", "whole", () => client.chat.completions.create({ model, messages }));
  await span("chain", "raw", async () => {
    const { data } = await client.withOptions({ maxRetries: 0 }).chat.completions.create({ model, messages }).withResponse();
    return data;
  });
  const stream = await span("llm", "stream", () => client.chat.completions.create({ model, messages, stream: true }));
  for await (const chunk of stream) if (!chunk.id) throw new Error("no chunk");
  const helper = span("chain", "helper", () => client.chat.completions.stream({ model, messages }));
  if (!(await helper.finalChatCompletion()).id) throw new Error("no completion");
  const asked = span("chain", "as response", () => client.chat.completions.create({ model, messages }));
  if (!(await (await asked.asResponse()).json()).id) throw new Error("no raw answer");
  const [left, right] = (await span("chain", "split", () => client.chat.completions.create({ model, messages, stream: true }))).tee();
  for (const half of [left, right]) for await (const chunk of half) if (!chunk.id) throw new Error("no chunk");
  await span("embedding", "embeddings", () => client.embeddings.create({ model: "text-embedding-3-small", input: "Why?" }));
  await span("chain", "responses", () => client.responses.create({ model, input: "Why?" }));
  await span("chain", "claude", async () => {
    const said = await claude.messages.create({ model: "claude-test", max_tokens: 64, messages });
    if (said.role !== "assistant") throw new Error("no answer");
  });
  const heard = span("chain", "claude's helper", () => claude.messages.stream({ model: "claude-test", max_tokens: 64, messages }));
  if ((await heard.finalMessage()).role !== "assistant") throw new Error("no message");
  await span("chain", "untouched", () => plain.chat.completions.create({ model, messages }));
}, { sessionId: "js-session" });
if (!(await flush())) throw new Error("not delivered");
