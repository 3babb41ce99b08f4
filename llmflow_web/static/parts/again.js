// @ts-check
/** Send a recorded call once more: a dialog with what would be sent, to be edited; the result opens beside the original. */
import { get, url } from "../feed/api.js";
import { send } from "../feed/more.js";
import { bytes, visible } from "../lib/format.js";
import { title } from "../lib/outcome.js";
import { openDialog } from "./dialog.js";
import { announce, h, put, stylesheet } from "./dom.js";

const MAX_EDITED = 512 * 1024; // characters; a longer body is sent as it is, or by its parts through the API

/** @typedef {{provider: string, path: string, is_translated: boolean, body: any, size: number, notes: string[], has_key: boolean, providers: string[]}} Plan */

/** @param {{detail: any, state: import("../state.js").State}} given */
export async function sendAgain({ detail, state }) {
  const row = detail.trace;
  const address = `/api/traces/${encodeURIComponent(row.id)}/replay`;
  const asked = { trace_id: row.trace_id };
  let plan;
  try {
    plan = /** @type {Plan} */ (await get(address, asked));
  } catch (error) {
    announce(`It cannot be sent again: ${/** @type {Error} */ (error).message}`, true);
    return;
  }
  const form = fields(row, plan);
  const failed = h("p", { class: "hint", role: "alert", hidden: true });
  const go = /** @type {HTMLButtonElement} */ (h("button", { type: "submit", class: "button primary" }, "Send"));
  const cancel = h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
  const whole = h("form", { class: "confirm again", onsubmit: submit },
    h("p", { class: "muted" }, h("strong", null, title(row)), " goes through the proxy once more, as a call of its own. It costs what any call costs."),
    form.node, failed, h("div", { class: "confirm-tools" }, cancel, go));
  stylesheet("/css/again.css");
  const dialog = openDialog("Send again", whole);
  form.model.focus();

  /** @param {unknown} error */
  function fail(error) {
    failed.textContent = /** @type {Error} */ (error).message;
    failed.hidden = false;
    go.disabled = false;
    go.textContent = "Send";
  }

  /** Another provider, or the own one: what would be sent changes. */
  async function renew() {
    failed.hidden = true;
    try {
      form.show(/** @type {Plan} */ (await get(address, { ...asked, provider: form.provider.value, model: form.model.value.trim() || "MODEL" })));
    } catch (error) {
      fail(error);
    }
  }
  form.provider.addEventListener("change", () => {
    if (form.provider.value !== row.provider) form.model.value = "";
    renew();
    form.model.focus();
  });

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    failed.hidden = true;
    let edit;
    try {
      edit = form.edit();
    } catch (error) {
      fail(error);
      return;
    }
    go.disabled = true;
    go.textContent = "Waiting for the answer…";
    try {
      const told = await send("POST", url(address, { ...asked, wait: 1 }), edit, form.key.value ? { "x-llmflow-key": form.key.value } : {});
      if (!dialog.open) return; // it was closed meanwhile: the call is in the list
      dialog.close();
      state.go(`/diff/${encodeURIComponent(row.id)}/${encodeURIComponent(told.id)}`);
      if (told.status >= 400) announce(`The provider answered ${told.status}`, true);
    } catch (error) {
      fail(error);
    }
  }
}

/** @param {any} row @param {Plan} first */
function fields(row, first) {
  const named = (/** @type {string} */ label, /** @type {HTMLElement} */ field, /** @type {any} */ hint = null) => h("label", null, h("span", null, label), field, hint);
  const provider = /** @type {HTMLSelectElement} */ (h("select", null, [...new Set([first.provider, ...first.providers])].map((name) => h("option", { value: name, selected: name === first.provider }, name))));
  const model = /** @type {HTMLInputElement} */ (h("input", { type: "text", value: row.request_model ?? row.model ?? "", required: true, spellcheck: "false", autocomplete: "off" }));
  const key = /** @type {HTMLInputElement} */ (h("input", { type: "password", autocomplete: "off", placeholder: "used for this call, never stored" }));
  const body = /** @type {HTMLTextAreaElement} */ (h("textarea", { rows: 14, spellcheck: "false", class: "mono" }));
  const keyHint = h("span", { class: "muted small" });
  const notes = h("div", null);
  const bodyField = named("Request (JSON)", body);
  let written = "";

  /** @param {Plan} plan */
  function show(plan) {
    const text = plan.body === null || plan.size > MAX_EDITED ? "" : JSON.stringify(plan.body, null, 2);
    bodyField.hidden = !text;
    body.value = written = text;
    keyHint.textContent = plan.has_key ? "There is one in LLMFlow’s environment; leave this empty to use it." : "LLMFlow’s environment has none for this provider.";
    const sentences = [...plan.notes, ...(text ? [] : [`The request (${bytes(plan.size)}) is sent as it was recorded.`]), ...(plan.is_translated ? ["The question is put in OpenAI’s words and translated for the provider."] : [])];
    put(notes, sentences.map((one) => h("p", { class: "hint" }, visible(one))));
  }
  show(first);
  model.addEventListener("change", () => {
    if (!written || !model.value.trim()) return;
    try {
      const now = JSON.parse(body.value);
      if ("model" in now) body.value = JSON.stringify({ ...now, model: model.value.trim() }, null, 2);
    } catch { /* said when it is sent */ }
  });

  /** What was changed, as the API takes it. */
  function edit() {
    const told = { provider: provider.value, model: model.value.trim() };
    if (!written || body.value === written) return told;
    try {
      return { ...told, body: JSON.parse(body.value) };
    } catch (error) {
      throw new Error(`The request is no JSON: ${/** @type {Error} */ (error).message}`);
    }
  }
  const node = h("div", { class: "fields" }, h("div", { class: "pair" }, named("Provider", provider), named("Model", model)), named("Key", key, keyHint), bodyField, notes);
  return { node, provider, model, key, show, edit };
}
