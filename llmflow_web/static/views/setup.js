// @ts-check
/** How to send the first call: snippets with the real host and ports, and a line that turns into a link when it arrives. */
import { list } from "../feed/api.js";
import { config, send } from "../feed/more.js";
import { traceAddress } from "../lib/links.js";
import { title } from "../lib/outcome.js";
import { TOKEN, addresses, agents, sdks } from "../lib/snippets.js";
import { announce, copyButton, h, icon, put, store, stored, stylesheet } from "../parts/dom.js";
import { listening } from "../parts/page.js";
import { mountTabs } from "../parts/tabs.js";
import { toast } from "../parts/toast.js";

const TAG = "sample";
/** What the test call sends: it says that it is made up, and costs nothing. */
const SAMPLE = {
  span_type: "llm", span_name: "sample call", model: "gpt-4o-mini", provider: "openai", duration_ms: 640, prompt_tokens: 21, completion_tokens: 12, estimated_cost: 0, tags: [TAG],
  input: { messages: [{ role: "system", content: "You are a made-up example." }, { role: "user", content: "Does LLMFlow work?" }] },
  output: { choices: [{ message: { role: "assistant", content: "It does: you are looking at it. **Delete** this sample when you have seen enough." }, finish_reason: "stop" }] },
};

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const words = h("p", { class: "waiting", role: "status" }, "Looking for calls …");
  const place = h("div", { class: "setup-tabs" });
  const clear = h("button", { type: "button", class: "button", hidden: true, onclick: clearSamples }, "Delete the sample calls");
  const test = h("button", { type: "button", class: "button primary", onclick: sendSample }, "Send a test call");
  const page = h("div", { class: "screen page setup", "aria-busy": "true" }, h("h1", null, "Setup"), words, h("div", { class: "bulk" }, test, clear), place, keyboard());
  el.append(page);
  let hadCalls = false;
  let newest = ""; // the trace the line leads to
  /** @type {ReturnType<typeof mountTabs>|null} */
  let tabs = null;

  /** @param {any} row @param {boolean} [isOld] */
  function arrived(row, isOld = false) {
    if (row.trace_id === newest || (isOld && newest)) return; // something newer came meanwhile
    newest = row.trace_id;
    const text = isOld ? "Calls are coming in. The newest: " : hadCalls ? "Just received: " : "Received the first call: ";
    hadCalls = true;
    words.classList.add("is-here");
    put(words, icon("ok"), h("span", null, text, h("a", { href: traceAddress(row.trace_id) }, `open “${title(row)}”`)));
    if (!isOld) announce(text);
  }

  async function sendSample() {
    test.disabled = true;
    try {
      const { id, trace_id: trace } = await send("POST", "/api/spans", SAMPLE);
      arrived({ ...SAMPLE, id, trace_id: trace });
      clear.hidden = false;
    } catch (error) {
      toast(`The test call failed: ${/** @type {Error} */ (error).message}`, { isError: true });
    }
    test.disabled = false;
  }

  async function clearSamples() {
    clear.disabled = true;
    try {
      const { deleted } = await send("POST", "/api/traces/delete", { filter: { tag: TAG } });
      toast(deleted === 1 ? "The sample call is deleted" : `${deleted} sample calls are deleted`);
      clear.hidden = true;
      test.focus();
      words.classList.remove("is-here");
      hadCalls = false;
      newest = "";
      await look();
    } catch (error) {
      toast(`They were not deleted: ${/** @type {Error} */ (error).message}`, { isError: true });
    }
    clear.disabled = false;
  }

  /** What there is already. */
  async function look() {
    const ports = await config();
    if (!newest) put(words, icon("running"), `No calls yet. Waiting on ${[ports.proxy_port, ports.dashboard_port, ports.otlp_port].filter(Boolean).map((port) => `:${port}`).join(" and ")} …`);
    try {
      const [all, samples] = await Promise.all([list({ roots: 1, limit: 1 }), list({ tag: TAG, limit: 1 })]);
      if (all.rows.length) arrived(all.rows[0], true);
      if (samples.rows.length) clear.hidden = false;
    } catch { /* the live button says that nobody answers */ }
  }

  async function build() {
    const [ports] = await Promise.all([config(), ...["/css/screens.css", "/css/trace.css"].map(stylesheet)]);
    if (!place.isConnected) return;
    const { dashboard, proxy } = addresses(location.hostname || "localhost", ports.dashboard_port, ports.proxy_port, ports.needs_token);
    if (ports.needs_token) place.before(h("p", { class: "hint" }, "This server asks for its token: put it in the place of ", h("code", null, TOKEN), ". Who can set headers may leave ", h("code", null, `/t/${TOKEN}`), " out of the address and send ", h("code", null, `x-llmflow-token: ${TOKEN}`), " instead."));
    tabs = mountTabs(place, {
      label: "Ways to send calls", tabs: ways(dashboard, proxy).map(({ id, name, parts }) => ({ id, label: name, build: (/** @type {HTMLElement} */ panel) => { panel.append(...parts.map(snippet)); } })),
      onChange: (id) => state.go(`/setup#${id}`, { replace: true, quiet: true }),
    });
    choose();
    page.append(h("p", { class: "muted" }, ports.version ? `LLMFlow ${ports.version}` : ""));
    page.removeAttribute("aria-busy");
  }

  function choose() {
    const id = location.hash.slice(1);
    tabs?.choose(id);
    /** @type {HTMLElement|null} */ (place.querySelector(`[aria-selected="true"]`))?.scrollIntoView({ block: "nearest" });
  }

  const onRows = (/** @type {any} */ { detail: { op, rows } }) => { if (["new", "running"].includes(op) && rows[0]) arrived(rows.at(-1)); };
  const deaf = listening(state.live, { rows: onRows, refresh: () => { look(); } });
  state.live.subscribe({ roots: "1" });
  build();
  look();
  return {
    update: choose,
    reload: () => { look(); },
    unmount() {
      deaf();
      state.live.subscribe(null);
    },
  };
}

/** @typedef {{name: string, hint?: string, code: string}} Part */

/** All ways in one order: through the proxy, by telemetry, coding agents. @param {string} dashboard @param {string} proxy @returns {{id: string, name: string, parts: Part[]}[]} */
function ways(dashboard, proxy) {
  const all = sdks(dashboard, proxy);
  const of = (/** @type {string} */ group) => all.filter((one) => one.group === group).map((one) => ({ id: one.id, name: one.name, parts: one.snippets }));
  const told = agents(dashboard, proxy).map((one) => ({ id: one.id, name: one.name, parts: [...one.telemetry.map((part) => ({ ...part, name: `Telemetry: ${part.name}` })), ...one.proxy.map((part) => ({ ...part, name: `Through the proxy: ${part.name}` }))] }));
  return [...of("proxy"), ...of("telemetry"), ...told];
}

/** @param {Part} part */
function snippet({ name, hint, code }) {
  return h("section", { class: "snippet", "aria-label": name }, h("header", null, h("h2", null, name), copyButton(() => code, `Copy ${name}`, "Copy")), hint ? h("p", { class: "muted" }, hint) : null, h("pre", { class: "code", tabindex: 0, role: "region", "aria-label": `${name}: code` }, code));
}

/** Who types by voice needs single keys to be off. */
function keyboard() {
  const box = h("input", { type: "checkbox", checked: stored("llmflow-keys") !== "off", onchange: () => { store("llmflow-keys", box.checked ? "" : "off"); announce(`Single-key shortcuts ${box.checked ? "on" : "off"}`); } });
  return h("section", { class: "setup-keys", "aria-label": "Keyboard" }, h("h2", null, "Keyboard"), h("label", { class: "check" }, box, "Single-key shortcuts"), h("p", { class: "muted" }, "j, k, / and the others; press ? for all of them. Off, only keys with Ctrl, arrows and Esc work. Kept in this browser."));
}
