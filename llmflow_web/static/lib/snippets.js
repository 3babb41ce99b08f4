// @ts-check
/**
 * How each coding agent is pointed at LLMFlow, as data. The one place of truth: the setup screen shows it, and a test
 * holds README.md and docs/agents.md to it.
 */

/** Stands where the token belongs, which the page is never told. */
export const TOKEN = "YOUR_TOKEN";

/** @typedef {{ name: string, hint?: string, code: string }} Snippet */
/** @typedef {{ id: string, name: string, telemetry: Snippet[], proxy: Snippet[] }} AgentSetup */

/**
 * Return the addresses of a LLMFlow on `host`.
 * @param {string} host @param {number} dashboardPort @param {number} proxyPort
 * @param {boolean} [needsToken] they get a place for it, since a base URL is all that most programs can be told
 */
export function addresses(host, dashboardPort, proxyPort, needsToken = false) {
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const token = needsToken ? `/t/${TOKEN}` : "";
  return { dashboard: `http://${name}:${dashboardPort}${token}`, proxy: `http://${name}:${proxyPort}${token}` };
}

/**
 * Return the setup of every coding agent.
 * @param {string} dashboard where telemetry goes: http://localhost:3000
 * @param {string} proxy where calls go: http://localhost:8080
 * @returns {AgentSetup[]}
 */
export function agents(dashboard, proxy) {
  return [
    {
      id: "claude-code",
      name: "Claude Code",
      telemetry: [
        { name: "Environment", hint: "The last two lines also send what you typed and what tools were called with.", code: exports({
          CLAUDE_CODE_ENABLE_TELEMETRY: 1,
          OTEL_LOGS_EXPORTER: "otlp",
          OTEL_METRICS_EXPORTER: "otlp",
          OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
          OTEL_EXPORTER_OTLP_ENDPOINT: dashboard,
          OTEL_LOG_USER_PROMPTS: 1,
          OTEL_LOG_TOOL_DETAILS: 1,
        }) },
        { name: "Traces (beta)", hint: "Instead of the turns made of log events, with finer timing.", code: exports({
          CLAUDE_CODE_ENHANCED_TELEMETRY_BETA: 1,
          OTEL_TRACES_EXPORTER: "otlp",
        }) },
      ],
      proxy: [{ name: "Environment", code: exports({ ANTHROPIC_BASE_URL: `${proxy}/passthrough/anthropic` }) }],
    },
    {
      id: "codex-cli",
      name: "Codex CLI",
      telemetry: [{ name: "~/.codex/config.toml", hint: "Leave trace_exporter out: its spans are of Codex's inner workings.", code: [
        "[otel]",
        "log_user_prompt = true",
        "",
        '[otel.exporter."otlp-http"]',
        `endpoint = "${dashboard}/v1/logs"`,
        'protocol = "binary"',
      ].join("\n") }],
      proxy: [{ name: "~/.codex/config.toml", hint: "The first line stands at the top of the file, before any table.", code: [
        'model_provider = "llmflow"',
        "",
        "[model_providers.llmflow]",
        'name = "LLMFlow"',
        `base_url = "${proxy}/v1"`,
        'env_key = "OPENAI_API_KEY"',
        'wire_api = "responses"',
      ].join("\n") }],
    },
    {
      id: "gemini-cli",
      name: "Gemini CLI",
      telemetry: [{ name: "Environment", hint: "Prompts are sent unless GEMINI_TELEMETRY_LOG_PROMPTS is false.", code: exports({
        GEMINI_TELEMETRY_ENABLED: true,
        GEMINI_TELEMETRY_TARGET: "local",
        GEMINI_TELEMETRY_OTLP_PROTOCOL: "http",
        GEMINI_TELEMETRY_OTLP_ENDPOINT: dashboard,
      }) }],
      proxy: [{ name: "Environment", code: exports({ GOOGLE_GEMINI_BASE_URL: `${proxy}/passthrough/gemini` }) }],
    },
    {
      id: "copilot",
      name: "GitHub Copilot",
      telemetry: [
        { name: "Copilot CLI: environment", hint: "The last line also sends prompts and answers.", code: exports({
          COPILOT_OTEL_ENABLED: true,
          OTEL_EXPORTER_OTLP_ENDPOINT: dashboard,
          OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: true,
        }) },
        { name: "VS Code: settings.json", hint: "captureContent also sends prompts and answers.", code: [
          '"github.copilot.chat.otel.enabled": true,',
          '"github.copilot.chat.otel.exporterType": "otlp-http",',
          `"github.copilot.chat.otel.otlpEndpoint": "${dashboard}",`,
          '"github.copilot.chat.otel.captureContent": true,',
        ].join("\n") },
      ],
      proxy: [],
    },
  ];
}

/** @param {Record<string, string | number | boolean>} variables */
function exports(variables) {
  return Object.entries(variables).map(([name, value]) => `export ${name}=${value}`).join("\n");
}

/** @typedef {{ id: string, name: string, group: "proxy"|"telemetry", snippets: Snippet[] }} SdkSetup */

const WORDS = "Say hello";
const CHAT = `{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "${WORDS}"}]}`;

/**
 * Return the setup of every SDK and library that is no coding agent.
 * @param {string} dashboard where telemetry goes @param {string} proxy where calls go
 * @returns {SdkSetup[]}
 */
export function sdks(dashboard, proxy) {
  /** @param {string} id @param {string} name @param {Snippet[]} snippets @returns {SdkSetup} */
  const calls = (id, name, ...snippets) => ({ id, name, group: "proxy", snippets });
  /** @param {string} id @param {string} name @param {Snippet[]} snippets @returns {SdkSetup} */
  const spans = (id, name, ...snippets) => ({ id, name, group: "telemetry", snippets });
  return [
    calls("curl", "curl", { name: "One call", code: `curl ${proxy}/v1/chat/completions \\\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${CHAT}'` },
      { name: "Environment", hint: "Most programs need no change in their code.", code: exports({ OPENAI_BASE_URL: `${proxy}/v1` }) }),
    calls("openai-python", "OpenAI Python", { name: "Python", code: lines("from openai import OpenAI", "", `client = OpenAI(base_url="${proxy}/v1")`, "answer = client.chat.completions.create(", '    model="gpt-4o-mini",', `    messages=[{"role": "user", "content": "${WORDS}"}],`, ")", "print(answer.choices[0].message.content)") }),
    calls("openai-js", "OpenAI JavaScript", { name: "JavaScript", code: lines('import OpenAI from "openai";', "", `const client = new OpenAI({ baseURL: "${proxy}/v1" });`, "const answer = await client.chat.completions.create({", '  model: "gpt-4o-mini",', `  messages: [{ role: "user", content: "${WORDS}" }],`, "});", "console.log(answer.choices[0].message.content);") }),
    calls("anthropic", "Anthropic", { name: "Python", code: lines("from anthropic import Anthropic", "", `client = Anthropic(base_url="${proxy}/anthropic")`, "answer = client.messages.create(", '    model="claude-haiku-4-5", max_tokens=100,', `    messages=[{"role": "user", "content": "${WORDS}"}],`, ")") },
      { name: "With the OpenAI SDK", code: `client = OpenAI(base_url="${proxy}/anthropic/v1", api_key=ANTHROPIC_API_KEY)` }),
    calls("gemini", "Gemini", { name: "Python", code: lines("from google import genai", "", `client = genai.Client(http_options={"base_url": "${proxy}/gemini"})`, `answer = client.models.generate_content(model="gemini-2.5-flash", contents="${WORDS}")`) },
      { name: "With the OpenAI SDK", code: `client = OpenAI(base_url="${proxy}/gemini/v1", api_key=GEMINI_API_KEY)` }),
    calls("ollama", "Ollama", { name: "Python", code: lines("import ollama", "", `client = ollama.Client(host="${proxy}/ollama")`, `answer = client.chat(model="llama3.2", messages=[{"role": "user", "content": "${WORDS}"}])`) },
      { name: "With the OpenAI SDK", code: `client = OpenAI(base_url="${proxy}/ollama/v1", api_key="none")` }),
    calls("providers", "Other providers", { name: "With the OpenAI SDK", hint: "The provider’s name comes before /v1; its key travels with the call.", code: "azure cohere deepseek groq mistral openrouter perplexity together xai".split(" ").map((name) => `${proxy}/${name}/v1`).join("\n") },
      { name: "Their own SDKs", hint: "AZURE_OPENAI_ENDPOINT tells LLMFlow your resource.", code: lines(`cohere.ClientV2(base_url="${proxy}/cohere")`, `AzureOpenAI(azure_endpoint="${proxy}/azure")`) },
      { name: "Your own server (vLLM, llama.cpp, LM Studio …)", hint: "Name it once when LLMFlow starts; its calls cost nothing.", code: lines("llmflow --upstream local=http://127.0.0.1:8000", "", "# then use", `${proxy}/local/v1`) },
      { name: "Byte for byte", hint: "Request and answer travel untouched and are recorded all the same.", code: `${proxy}/passthrough/openai/v1` }),
    calls("langchain", "LangChain", { name: "Python", code: lines("from langchain_openai import ChatOpenAI", "", `model = ChatOpenAI(model="gpt-4o-mini", base_url="${proxy}/v1")`, `print(model.invoke("${WORDS}").content)`) },
      { name: "JavaScript", code: lines('import { ChatOpenAI } from "@langchain/openai";', "", `const model = new ChatOpenAI({ model: "gpt-4o-mini", configuration: { baseURL: "${proxy}/v1" } });`) }),
    calls("litellm", "LiteLLM", { name: "Python", code: lines("import litellm", "", "answer = litellm.completion(", '    model="openai/gpt-4o-mini",', `    api_base="${proxy}/v1",`, `    messages=[{"role": "user", "content": "${WORDS}"}],`, ")") }),
    calls("vercel-ai", "Vercel AI SDK", { name: "JavaScript", code: lines('import { createOpenAI } from "@ai-sdk/openai";', 'import { generateText } from "ai";', "", `const openai = createOpenAI({ baseURL: "${proxy}/v1" });`, "const { text } = await generateText({", '  model: openai.chat("gpt-4o-mini"),', `  prompt: "${WORDS}",`, "  experimental_telemetry: { isEnabled: true }, // with the OpenTelemetry environment: its steps too", "});") }),
    calls("headers", "Sessions and tags", { name: "Headers", hint: "LLMFlow reads them and takes them off before the call goes on.", code: lines("X-LLMFlow-Session-Id: checkout-42", "X-LLMFlow-User-Id: ada", "X-LLMFlow-Tags: production, checkout", "X-Trace-Id: one-id-for-all-calls-of-a-trace") }),
    spans("llmflow", "LLMFlow's SDKs", { name: "Python", hint: "The steps around the calls: functions, tools, agents.", code: lines("from llmflow import configure, span, trace", "", `configure(url="${dashboard}")`, 'with trace("answer"):', '    with span("search", span_type="tool") as step:', '        step.set(output=["found"])') },
      { name: "JavaScript", hint: `For Node, Deno, Bun and browsers: one file, ${dashboard}/sdk/llmflow.js, saved as llmflow.mjs.`, code: lines('import { configure, flush, span, trace } from "./llmflow.mjs";', "", `configure({ url: "${dashboard}" });`, 'await trace("answer", async () => span("tool", "search", () => ["found"]));', "await flush();") }),
    spans("otel", "OpenTelemetry", { name: "Environment", hint: "For every program that exports OTLP: traces, logs and metrics.", code: exports({ OTEL_EXPORTER_OTLP_ENDPOINT: dashboard, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_SERVICE_NAME: "my-app" }) },
      { name: "Collector", code: lines("exporters:", "  otlphttp/llmflow:", `    endpoint: ${dashboard}`) }),
    spans("openinference", "OpenInference", { name: "Python", code: lines("from openinference.instrumentation.openai import OpenAIInstrumentor", "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter", "from opentelemetry.sdk.trace import TracerProvider", "from opentelemetry.sdk.trace.export import BatchSpanProcessor", "",
      "provider = TracerProvider()", `provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("${dashboard}/v1/traces")))`, "OpenAIInstrumentor().instrument(tracer_provider=provider)") }),
    spans("openllmetry", "OpenLLMetry", { name: "Python", code: lines("from traceloop.sdk import Traceloop", "", `Traceloop.init(app_name="my-app", api_endpoint="${dashboard}")`) }, { name: "Environment", code: exports({ TRACELOOP_BASE_URL: dashboard }) }),
    spans("spans", "Plain JSON", { name: "curl", hint: "No library at hand: a span is one POST.", code: lines(`curl ${dashboard}/api/spans -H "Content-Type: application/json" -d '{`, '  "span_type": "llm", "span_name": "say hello", "model": "gpt-4o-mini", "duration_ms": 420,', '  "prompt_tokens": 9, "completion_tokens": 3, "input": "Say hello", "output": "Hello!"', "}'") }),
  ];
}

/** @param {...string} all */
function lines(...all) {
  return all.join("\n");
}
