// @ts-check
/** The dialogs of a budget: made, changed, deleted. */
import { send } from "../feed/more.js";
import { openDialog } from "./dialog.js";
import { announce, h } from "./dom.js";

/** @type {[string, string][]} */
const UNITS = [["limit_usd", "US dollars"], ["limit_tokens", "tokens"], ["limit_calls", "calls"]];
/** @type {[string, string][]} */
const PERIODS = [["hour", "each hour"], ["day", "each day"], ["week", "each week"], ["month", "each month"], ["total", "in total"]];
/** @type {[string, string][]} */
const ACTIONS = [["warn", "tell of it"], ["block", "refuse further calls (429)"]];
/** @type {[string, string, string][]} */
const SCOPE = [["provider", "Provider", "openai"], ["model", "Model, * for any letters", "gpt-4o*"], ["tag", "Tag", "production"], ["user", "User", ""], ["session", "Session", ""]];

/** @param {string} label @param {HTMLElement} field @param {string} [hint] */
function labelled(label, field, hint) {
  return h("label", null, h("span", null, label), field, hint ? h("small", { class: "muted" }, hint) : null);
}

/** @param {string} name @param {[string, string][]} options @param {string} chosen */
function select(name, options, chosen) {
  return /** @type {HTMLSelectElement} */ (h("select", { name }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))));
}

/** @param {any} budget the one to change, or null for a new one @param {() => void} done */
export function editBudget(budget, done) {
  const unit = UNITS.find(([key]) => budget?.[key] != null)?.[0] ?? "limit_usd";
  const name = /** @type {HTMLInputElement} */ (h("input", { name: "name", required: true, maxlength: 64, value: budget?.name ?? "", disabled: Boolean(budget), autocomplete: "off" }));
  const limit = /** @type {HTMLInputElement} */ (h("input", { name: "limit", type: "number", min: 0, step: "any", required: true, value: budget?.[unit] ?? "" }));
  const units = select("unit", UNITS, unit);
  const per = select("per", PERIODS, budget?.per ?? "day");
  const action = select("action", ACTIONS, budget?.action ?? "warn");
  const unpriced = select("on_unpriced", [["warn", "let them go, and count them"], ["block", "refuse them, too"]], budget?.on_unpriced ?? "warn");
  const warnAt = /** @type {HTMLInputElement} */ (h("input", { type: "number", min: 1, max: 100, step: "any", required: true, value: Math.round((budget?.warn_at ?? 0.8) * 1000) / 10 }));
  const zone = /** @type {HTMLInputElement} */ (h("input", { value: budget?.tz ?? "", placeholder: "that of LLMFlow's machine", autocomplete: "off" }));
  const scope = SCOPE.map(([key, label, example]) => ({ key, label, input: /** @type {HTMLInputElement} */ (h("input", { value: budget?.[key] ?? "", placeholder: example, maxlength: 256, autocomplete: "off", spellcheck: "false" })) }));
  const failed = h("p", { class: "hint", role: "alert", hidden: true });
  const go = /** @type {HTMLButtonElement} */ (h("button", { type: "submit", class: "button primary" }, budget ? "Save" : "Create"));
  const cancel = h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { class: "confirm budget-form", onsubmit: submit },
    h("div", { class: "fields" }, labelled("Name", name),
      h("div", { class: "pair" }, labelled("Limit", limit), labelled("of", units), labelled("Window", per)),
      h("div", { class: "pair" }, labelled("When it is reached", action), labelled("Models of unknown price", unpriced), labelled("Tell early, at percent", warnAt)),
      h("fieldset", null, h("legend", null, "Only calls of (empty: all)"), h("div", { class: "pair" }, scope.map(({ label, input }) => labelled(label, input)))),
      labelled("Time zone of the window", zone, "Such as Europe/Berlin.")),
    failed, h("div", { class: "confirm-tools" }, cancel, go));
  const guard = () => {
    unpriced.disabled = action.value !== "block";
    if (unpriced.disabled) unpriced.value = "warn";
  };
  action.addEventListener("change", guard);
  guard();
  const dialog = openDialog(budget ? `Change ${budget.name}` : "New budget", form);
  (budget ? limit : name).focus();

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    failed.hidden = true;
    go.disabled = true;
    const filled = Object.fromEntries(scope.map(({ key, input }) => [key, input.value.trim()]).filter(([, value]) => value));
    const rule = { [units.value]: Number(limit.value), per: per.value, action: action.value, on_unpriced: unpriced.value, warn_at: Number(warnAt.value) / 100, ...filled, ...(zone.value.trim() ? { tz: zone.value.trim() } : {}) };
    try {
      await (budget ? send("PUT", `/api/budgets/${encodeURIComponent(budget.name)}`, rule) : send("POST", "/api/budgets", { name: name.value.trim(), ...rule }));
      dialog.close();
      announce(budget ? "Budget changed" : "Budget made", true);
      done();
    } catch (error) {
      failed.textContent = /** @type {Error} */ (error).message;
      failed.hidden = false;
      go.disabled = false;
    }
  }
}

/** @param {any} budget @param {() => void} done */
export function deleteBudget(budget, done) {
  const failed = h("p", { class: "hint", role: "alert", hidden: true });
  const cancel = h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
  const yes = /** @type {HTMLButtonElement} */ (h("button", { type: "button", class: "button danger", onclick: async () => {
    yes.disabled = true;
    try {
      await send("DELETE", `/api/budgets/${encodeURIComponent(budget.name)}`);
      dialog.close();
      announce("Budget deleted", true);
      done();
    } catch (error) {
      failed.textContent = `It was not deleted: ${/** @type {Error} */ (error).message}`;
      failed.hidden = false;
      yes.disabled = false;
    }
  } }, "Delete"));
  const dialog = openDialog("Delete this budget?", h("div", { class: "confirm" }, h("p", null, h("strong", null, budget.name), " will limit and tell nothing any more. What it counted is forgotten."), failed, h("div", { class: "confirm-tools" }, cancel, yes)));
  cancel.focus();
}
