// A program with OpenTelemetry's JavaScript SDK: `node exporter.mjs http|proto`. OTEL_EXPORTER_OTLP_ENDPOINT says where to.
import { SpanKind, SpanStatusCode, TraceFlags, context, createTraceState, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const Exporter = process.argv[2] === "proto" ? ProtoExporter : JsonExporter;
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "js app", "deployment.environment.name": "test" }),
  spanProcessors: [new BatchSpanProcessor(new Exporter())],
});
const tracer = provider.getTracer("js-scope", "1.2.3");

const far = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  traceFlags: TraceFlags.SAMPLED,
  isRemote: true,
  traceState: createTraceState("vendor=value"),
};
const link = { context: { ...far, spanId: "00f067aa0ba902b7" }, attributes: { reason: "retry" } };
const above = trace.setSpanContext(context.active(), far);

const root = tracer.startSpan("agent", { attributes: { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather", "session.id": "js-session" } }, above);
const inside = trace.setSpan(above, root);
const chat = tracer.startSpan(
  "chat gpt-4o-mini",
  {
    kind: SpanKind.CLIENT,
    links: [link],
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4o-mini",
      "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": 30,
      "gen_ai.usage.output_tokens": 14,
      "gen_ai.usage.cache_read.input_tokens": 10,
      "gen_ai.conversation.id": "js-conversation",
      "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: "Why is the sky blue?" }] }]),
      "gen_ai.output.messages": JSON.stringify([
        { role: "assistant", parts: [{ type: "text", content: "Scattering." }], finish_reason: "stop" },
      ]),
      ratio: 0.25,
      is_test: true,
      big: 9007199254740991,
      list: ["a", "b"],
    },
  },
  inside,
);
chat.addEvent("note", { text: "größer 🌊", count: 3 });
chat.end();
const tool = tracer.startSpan("execute_tool get_weather", { attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather" } }, inside);
tool.recordException(new TypeError("no such place"));
tool.setStatus({ code: SpanStatusCode.ERROR, message: "no such place" });
tool.end();
root.end();

await provider.forceFlush();
await provider.shutdown();
