// An app on Vercel's AI SDK with its telemetry on; the model is a stand-in that answers like one.
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, jsonSchema, simulateReadableStream, stepCountIs, streamText, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "vercel app" }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();

const usage = {
  inputTokens: { total: 30, noCache: 20, cacheRead: 10, cacheWrite: 0 },
  outputTokens: { total: 14, text: 14, reasoning: 0 },
};
const response = { id: "chatcmpl-7", modelId: "gpt-4o-mini-2024-07-18", timestamp: new Date(0) };
const finish = (word) => ({ unified: word, raw: word });
const call = { type: "tool-call", toolCallId: "call_0", toolName: "weather", input: '{"place":"Paris"}' };
const text = "It is sunny.";
const answered = (options) => options.prompt.some((message) => message.role === "tool");
const model = new MockLanguageModelV3({
  provider: "openai.chat",
  modelId: "gpt-4o-mini",
  doGenerate: async (options) =>
    answered(options)
      ? { content: [{ type: "text", text }], finishReason: finish("stop"), usage, response, warnings: [] }
      : { content: [call], finishReason: finish("tool-calls"), usage, response, warnings: [] },
  doStream: async () => ({
    stream: simulateReadableStream({
      chunks: [
        { type: "stream-start", warnings: [] },
        { type: "response-metadata", ...response },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: text },
        { type: "text-end", id: "1" },
        { type: "finish", finishReason: finish("stop"), usage },
      ],
    }),
  }),
});
const experimental_telemetry = {
  isEnabled: true,
  functionId: "ask-weather",
  metadata: { sessionId: "vercel-session", userId: "ada" },
};

await generateText({
  model,
  system: "Be brief.",
  prompt: "How is the weather?",
  experimental_telemetry,
  stopWhen: stepCountIs(3),
  tools: {
    weather: tool({
      description: "Weather of a place",
      inputSchema: jsonSchema({ type: "object", properties: { place: { type: "string" } }, required: ["place"] }),
      execute: async ({ place }) => `Sunny in ${place}`,
    }),
  },
});
const streamed = streamText({ model, prompt: "How is the weather?", experimental_telemetry });
for await (const _ of streamed.textStream);

await provider.forceFlush();
await provider.shutdown();
