// @ts-check
/** How to send the first call: snippets with the real host and ports, and a line that turns into a link when it arrives. */
import { config, list } from "../feed/api.js";
import { title } from "../lib/outcome.js";
import { agents } from "../lib/snippets.js";
import { announce, copyButton, h, icon, put } from "../parts/dom.js";

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const waiting = h("p", { class: "waiting", role: "status" }, "Looking for calls …");
  const page = h("div", { class: "screen page" }, h("h1", null, "Send a first call"), waiting);
  el.append(page);
  let isHere = false;

  function arrived(row, isOld = false) {
    if (isHere) return;
    isHere = true;
    waiting.classList.add("is-here");
    put(waiting, icon("ok"), isOld ? "Calls are coming in. The newest: " : "Received the first call: ", h("a", { href: `/traces/${encodeURIComponent(row.trace_id)}` }, `open “${title(row)}”`));
    if (!isOld) announce("Received the first call");
  }
  const onRows = (event) => event.detail.op !== "delete" && event.detail.rows[0] && arrived(event.detail.rows[0]);
  const onSpan = (event) => arrived(event.detail);
  state.live.addEventListener("rows", onRows);
  state.live.addEventListener("span", onSpan);
  state.live.subscribe({ roots: "1" });

  (async () => {
    const ports = await config();
    const host = location.hostname || "localhost";
    const proxy = `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${ports.proxy_port}`;
    if (!isHere) put(waiting, icon("running"), `No calls yet. Waiting on ${proxy} and ${location.origin} …`);
    page.append(h("div", { class: "snippets" }, [...snippets(proxy), ...agentSnippets(location.origin, proxy)].map(({ name, hint, code }) => h("section", { class: "snippet", "aria-label": name },
      h("header", null, h("h2", null, name), copyButton(() => code, `Copy ${name}`, "Copy")), hint ? h("p", { class: "muted" }, hint) : null, h("pre", { class: "code", tabindex: 0, "aria-label": `${name} code` }, code)))));
    if (ports.version) page.append(h("p", { class: "muted pad" }, `LLMFlow ${ports.version}`));
    try {
      const { rows } = await list({ roots: 1, limit: 1 });
      if (rows.length) arrived(rows[0], true);
    } catch { /* the live button says that nobody answers */ }
  })();

  return {
    unmount() {
      state.live.removeEventListener("rows", onRows);
      state.live.removeEventListener("span", onSpan);
    },
  };
}

/** @param {string} dashboard @param {string} proxy */
function agentSnippets(dashboard, proxy) {
  const named = (agent, way, list) => list.map(({ name, hint, code }) => ({ name: `${agent} ${way}`, hint: [name, hint].filter(Boolean).join(". "), code }));
  return agents(dashboard, proxy).flatMap((setup) => [...named(setup.name, "by telemetry", setup.telemetry), ...named(setup.name, "by the proxy", setup.proxy)]);
}

/** @param {string} proxy */
function snippets(proxy) {
  const chat = '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}]}';
  return [
    { name: "Environment variables", hint: "Most programs need no change in their code.", code: `export OPENAI_BASE_URL=${proxy}/v1` },
    { name: "curl", code: `curl ${proxy}/v1/chat/completions \\\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${chat}'` },
    { name: "OpenAI Python", code: `from openai import OpenAI\n\nclient = OpenAI(base_url="${proxy}/v1")\nanswer = client.chat.completions.create(\n    model="gpt-4o-mini",\n    messages=[{"role": "user", "content": "Say hello"}],\n)\nprint(answer.choices[0].message.content)` },
    { name: "OpenAI JavaScript", code: `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${proxy}/v1" });` },
    { name: "Every provider with the OpenAI SDK", hint: "The provider’s name comes before /v1; its key travels with the call.", code: "anthropic gemini cohere azure ollama groq mistral openrouter deepseek xai".split(" ").map((name) => `${proxy}/${name}/v1`).join("\n") },
    { name: "The providers’ own SDKs", hint: "Untouched. AZURE_OPENAI_ENDPOINT tells LLMFlow your resource.", code: `Anthropic(base_url="${proxy}/anthropic")\ngenai.Client(http_options={"base_url": "${proxy}/gemini"})\ncohere.ClientV2(base_url="${proxy}/cohere")\nAzureOpenAI(azure_endpoint="${proxy}/azure")\nollama.Client(host="${proxy}/ollama")` },
    { name: "Your own server (vLLM, llama.cpp, LM Studio …)", hint: "Name it once when LLMFlow starts; its calls cost nothing.", code: `llmflow --upstream local=http://127.0.0.1:8000\n\n# then use\n${proxy}/local/v1` },
    { name: "Untouched passthrough", hint: "Request and answer travel byte for byte and are recorded all the same.", code: `${proxy}/passthrough/openai/v1` },
    { name: "Sessions, users and tags", hint: "Headers that LLMFlow reads and takes off before the call goes on.", code: "X-LLMFlow-Session-Id: checkout-42\nX-LLMFlow-User-Id: ada\nX-LLMFlow-Tags: production, checkout\nX-Trace-Id: one-id-for-all-calls-of-a-trace" },
  ];
}
