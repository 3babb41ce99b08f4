// @ts-check
/**
 * How each coding agent is pointed at LLMFlow, as data. The one place of truth: the setup screen shows it, and a test
 * holds README.md and docs/agents.md to it.
 */

/** @typedef {{ name: string, hint?: string, code: string }} Snippet */
/** @typedef {{ id: string, name: string, telemetry: Snippet[], proxy: Snippet[] }} AgentSetup */

/**
 * Return the addresses of a LLMFlow on `host`.
 * @param {string} host @param {number} dashboardPort @param {number} proxyPort
 */
export function addresses(host, dashboardPort, proxyPort) {
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return { dashboard: `http://${name}:${dashboardPort}`, proxy: `http://${name}:${proxyPort}` };
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
