// @ts-check
/** Budgets: what may be used, what is used and in flight, when it resets, and whom it was told. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { callsAddress } from "../lib/links.js";
import { h, icon, notice, put, time } from "../parts/dom.js";
import { listening, mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";

/** @type {Record<string, [string, string]>} */
const STATES = { ok: ["ok", "within the limit"], warn: ["warn", "nearly used up"], exceeded: ["error", "used up"], spike: ["error", "more than usual"] };
/** @type {Record<string, string>} */
const PERIODS = { hour: "an hour", day: "a day", week: "a week", month: "a month", total: "in total", process: "until LLMFlow stops" };
/** @type {Record<string, string>} */
const EVENTS = { warn: "nearly used up", exceeded: "used up", reset: "began anew", spike: "more than usual" };
const SCOPE = ["provider", "model", "tag", "user", "session"];

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const form = () => import("../parts/budgetform.js");
  const make = h("button", { type: "button", class: "button primary", onclick: async () => (await form()).editBudget(null, again) }, "New budget");
  /** @type {Map<string, HTMLElement>} what is shown of each, by name */
  const shown = new Map();
  const screen = mountScreen(el, {
    cls: "budgets", styles: ["/css/budgets.css"], head: [h("h1", null, "Budgets"), make], ask: (signal) => get("/api/budgets", {}, signal),
    show(body, answer) {
      shown.clear();
      showAll(body, answer, shown, { edit: async (budget) => (await form()).editBudget(budget, again), remove: async (budget) => (await form()).deleteBudget(budget, again), make: () => make.click() });
    },
  });
  const again = () => screen.update();
  const deaf = listening(state.live, {
    budget: (/** @type {CustomEvent} */ { detail }) => {
      for (const budget of detail.budgets ?? []) {
        const node = shown.get(budget.name);
        if (node) put(node, facts(budget));
      }
      screen.renew();
    },
    refresh: () => screen.renew(),
  });
  return { ...screen, unmount() { deaf(); screen.unmount(); } };
}

/** @param {HTMLElement} body @param {Map<string, HTMLElement>} shown @param {{edit: (budget: any) => void, remove: (budget: any) => void, make: () => void}} on */
function showAll(body, answer, shown, on) {
  const { budgets, alerts, sent, deliveries } = answer;
  if (!budgets.length && !alerts.length) {
    body.append(notice("No budget yet", "A budget says what may be spent in a time, by whom, and whether LLMFlow only tells of it or refuses the calls beyond it.", h("button", { type: "button", class: "button primary", onclick: on.make }, "Make the first")));
  } else {
    body.append(h("ul", { class: "budget-list" }, budgets.map((/** @type {any} */ one) => item(one, shown, on)), alerts.map(spike)));
  }
  if (sent.length) body.append(h("h2", { class: "above" }, "Told lately"), table(sent, ALERTS, { label: "Told lately" }));
  if (deliveries.length) body.append(h("h2", { class: "above" }, "Webhooks and commands"), table(deliveries, DELIVERIES, { label: "Webhooks and commands", isError: (row) => row.state === "failed" }));
}

/** @param {Map<string, HTMLElement>} shown @param {{edit: (budget: any) => void, remove: (budget: any) => void}} on */
function item(budget, shown, on) {
  const node = h("div", { class: "part-of" }, facts(budget));
  shown.set(budget.name, node);
  const tools = budget.origin === "ui" ? h("div", { class: "budget-tools" },
    h("button", { type: "button", class: "button", "aria-label": `Change ${budget.name}`, onclick: () => on.edit(budget) }, "Change…"),
    h("button", { type: "button", class: "button", "aria-label": `Delete ${budget.name}`, onclick: () => on.remove(budget) }, "Delete…"))
    : h("p", { class: "muted" }, budget.origin === "cap" ? `Set by --${budget.name.replace("_", "-")}.` : "Set in llmflow.toml; changed there.", means(budget));
  return h("li", { class: "budget" }, node, tools);
}

/** @param {any} account */
function means({ webhook, command }) {
  const names = [webhook ? `tells ${webhook}` : "", command ? `runs ${command}` : ""].filter(Boolean);
  return names.length ? ` It ${names.join(" and ")}.` : "";
}

/** @param {number} amount @param {string} unit */
function told(amount, unit) {
  return unit === "usd" ? format.cost(amount) : format.count(amount);
}

/** @param {any} budget */
function facts(budget) {
  const { used, reserved, limit, unit } = budget;
  const words = `${told(used, unit)} of ${told(limit, unit)}${unit === "usd" ? "" : ` ${unit}`} used`;
  return [
    h("header", null, h("h2", null, budget.name), stateOf(budget.state)),
    bar(budget, words),
    h("p", null, h("strong", null, words), ` (${format.percent(used / limit)})`, budget.in_flight ? `, ${told(reserved, unit)} more reserved for ${format.plural(budget.in_flight, "call")} in flight` : ""),
    h("p", { class: "muted" }, `${told(limit, unit)}${unit === "usd" ? "" : ` ${unit}`} ${PERIODS[budget.per] ?? budget.per}, ${budget.action === "block" ? "then calls are refused" : "then you are told"}. `, resets(budget), scopeOf(budget)),
    budget.refused ? h("p", null, icon("error"), ` ${format.plural(budget.refused, "call")} refused in this window.`) : null,
    budget.unpriced ? h("p", { class: "is-unknown" }, `${format.plural(budget.unpriced, "call")} of unknown price: what was spent is at least this.`) : null,
  ];
}

/** @param {any} budget @param {string} words */
function bar({ used, reserved, limit, state, warn_at: warnAt }, words) {
  const share = (/** @type {number} */ part) => `${Math.min(100, Math.max(0, (part / limit) * 100))}%`;
  const full = h("i");
  full.style.width = share(used);
  const held = h("i", { class: "is-reserved" });
  held.style.left = share(used);
  held.style.width = share(Math.min(reserved, Math.max(0, limit - used)));
  const mark = h("b");
  mark.style.left = `${warnAt * 100}%`;
  return h("div", { class: "budget-bar", "data-state": state, role: "img", "aria-label": words }, full, held, mark);
}

/** @param {string} state */
function stateOf(state) {
  const [name, words] = STATES[state] ?? STATES.ok;
  return h("span", { class: "budget-state", "data-state": state }, icon(name), words);
}

/** @param {any} account */
function resets({ resets_at: at }) {
  if (!at) return "";
  const ms = Date.parse(at);
  return ["Resets in ", time(ms, left(ms - Date.now()), at), ". "];
}

/** @param {number} ms */
function left(ms) {
  const minutes = Math.max(1, Math.ceil(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

/** @param {any} account */
function scopeOf(account) {
  const set = SCOPE.filter((name) => account[name]);
  if (!set.length) return "";
  const words = set.map((name) => `${name} ${account[name]}`).join(", ");
  const linked = set.every((name) => ["provider", "tag"].includes(name));
  return ["Only ", linked ? h("a", { href: callsAddress(Object.fromEntries(set.map((name) => [name, account[name]]))) }, words) : words, "."];
}

/** @param {any} alert */
function spike(alert) {
  const words = alert.limit == null ? "Too little was spent before to say what is usual." : `Tells when more than ${format.cost(alert.limit)} is spent.`;
  return h("li", { class: "budget" }, h("header", null, h("h2", null, alert.name), stateOf(alert.state)),
    h("p", null, h("strong", null, `${format.cost(alert.used)} spent`), ` this ${alert.per}. ${words}`),
    h("p", { class: "muted" }, `Spike alert: ${alert.factor} times the mean of the last ${format.plural(alert.over, alert.per)}, and more than ${format.cost(alert.floor_usd)}. `, scopeOf(alert)),
    h("p", { class: "muted" }, "Set in llmflow.toml; changed there.", means(alert)));
}

/** @param {string} at */
const moment = (at) => time(Date.parse(at), `${format.day(Date.parse(at))} ${format.clock(Date.parse(at))}`, at);
const ALERTS = [
  { label: "When", cell: (/** @type {any} */ row) => moment(row.at) },
  { label: "Budget", isHead: true, cell: (/** @type {any} */ row) => row.name },
  { label: "What", cell: (/** @type {any} */ row) => EVENTS[row.event] ?? row.event },
  { label: "In words", cell: (/** @type {any} */ row) => row.text },
];
const DELIVERIES = [
  { label: "When", cell: (/** @type {any} */ row) => moment(row.at) },
  { label: "Budget", isHead: true, cell: (/** @type {any} */ row) => row.name },
  { label: "What", cell: (/** @type {any} */ row) => EVENTS[row.event] ?? row.event },
  { label: "To", cell: (/** @type {any} */ row) => `${row.kind} ${row.target}` },
  { label: "State", cell: (/** @type {any} */ row) => [row.state === "failed" || row.state === "dropped" ? icon("error") : null, row.state] },
  { label: "Attempts", cls: "num", cell: (/** @type {any} */ row) => format.count(row.attempts) },
  { label: "Error", cell: (/** @type {any} */ row) => row.error ?? format.NONE },
];
