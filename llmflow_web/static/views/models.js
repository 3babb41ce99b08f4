// @ts-check
/** What each model costs, what it was asked, and what that came to. */
import { get } from "../feed/api.js";
import * as format from "../lib/format.js";
import { addressWith, callsAddress } from "../lib/links.js";
import { debounce, h, icon, notice } from "../parts/dom.js";
import { choice, listening, mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";

/** @type {[string, string][]} */
const SORTS = [["cost", "by cost"], ["request_count", "by calls"], ["total_tokens", "by tokens"], ["p95_ms", "by p95"], ["error_count", "by errors"], ["model", "by name"]];
const CLASSES = [["input", "Input"], ["cached_input", "Cache read"], ["cache_write", "Cache write"], ["output", "Output"]];
const WORDS = /** @type {Record<string, string>} */ ({ cache_write_1h: "cache write, 1 h", audio_input: "audio in", audio_output: "audio out", image_input: "image in", image_output: "image out", reasoning: "reasoning" });

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const box = h("input", { type: "search", "aria-label": "Search models", placeholder: "Search models", autocomplete: "off", spellcheck: "false" });
  const sorts = h("span");
  const chosen = () => new URLSearchParams(state.route.search);
  const go = (/** @type {Record<string, string>} */ changes) => state.go(addressWith("/models", state.route.search, changes), { replace: true });
  const typed = debounce(150, () => go({ q: box.value.trim() }));
  box.addEventListener("input", typed);
  let answered = /** @type {any} */ (null);
  const screen = mountScreen(el, {
    cls: "models", head: [h("h1", null, "Models"), sorts, h("label", { class: "search" }, icon("search"), box)],
    ask: (signal) => Promise.all([get("/api/models", {}, signal), get("/api/models/prices", {}, signal).catch((error) => { if (signal.aborted) throw error; return { models: [], failed: String(error.message) }; })]),
    show(body, answer) {
      answered = answer;
      showModels(body, answer, chosen().get("q") ?? "", chosen().get("sort") ?? "cost");
    },
  });
  const deaf = listening(state.live, { stats: () => screen.renew() });
  return {
    ...screen,
    update() {
      if (document.activeElement !== box) box.value = chosen().get("q") ?? "";
      sorts.replaceChildren(choice("Order", SORTS, chosen().get("sort") ?? "cost", (sort) => go({ sort: sort === "cost" ? "" : sort })));
      if (!answered) screen.update();
      else {
        screen.body.replaceChildren();
        showModels(screen.body, answered, chosen().get("q") ?? "", chosen().get("sort") ?? "cost");
      }
    },
    unmount() {
      typed.cancel();
      deaf();
      screen.unmount();
    },
  };
}

/** @param {HTMLElement} body @param {string} q @param {string} sort */
function showModels(body, [models, prices], q, sort) {
  if (!models.length) {
    body.append(notice("No model has been called yet", "Each model that is called appears here with its price and what it came to.", h("a", { class: "button primary", href: "/setup" }, "How to send the first call")));
    return;
  }
  const known = new Map(prices.models.map((/** @type {any} */ one) => [one.model, one]));
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = models.map((/** @type {any} */ row) => ({ ...row, cost: row.total_cost, priced: known.get(row.model) ?? null }))
    .filter((/** @type {any} */ row) => words.every((word) => `${row.model ?? ""} ${(row.providers ?? []).join(" ")}`.toLowerCase().includes(word)))
    .sort((/** @type {any} */ a, /** @type {any} */ b) => (sort === "model" ? String(a.model ?? "~").localeCompare(String(b.model ?? "~")) : (b[sort] ?? -1) - (a[sort] ?? -1)));
  body.append(prices.failed ? h("p", { class: "hint" }, `The prices could not be read: ${prices.failed}`) : h("p", { class: "muted" }, `Prices of ${prices.date ?? "unknown date"} (${prices.source}), USD per million tokens. A dash is a price nobody told, which is not zero.`));
  if (!rows.length) body.append(notice("No model is called so", "", h("a", { class: "button", href: "/models" }, "Clear the search")));
  else body.append(table(rows, columnsOf(Math.max(1e-12, ...rows.map((/** @type {any} */ row) => row.cost ?? 0))), { label: "Models" }));
}

/** @param {number} most */
function columnsOf(most) {
  const num = (/** @type {string} */ label, /** @type {(row: any) => any} */ cell, /** @type {string} */ title = "") => ({ label, cls: "num", cell, title: title || undefined });
  return [
    { label: "Model", isHead: true, cell: nameOf },
    ...CLASSES.map(([name, label]) => num(label, (row) => priceOf(row, name), `USD per million tokens: ${label.toLowerCase()}`)),
    num("Context", (row) => format.compact(row.priced?.context_window), "Tokens that fit into a call"),
    num("Calls", (row) => (row.model ? h("a", { href: callsAddress({ model: row.model }) }, format.count(row.request_count)) : format.count(row.request_count))),
    num("Errors", (row) => (row.error_count && row.model ? h("a", { href: callsAddress({ model: row.model, status: "error" }) }, format.count(row.error_count)) : format.count(row.error_count))),
    num("Tokens in", (row) => [format.compact(row.prompt_tokens), row.cached_tokens ? h("small", null, `${format.compact(row.cached_tokens)} cached`) : null]),
    num("Tokens out", (row) => [format.compact(row.completion_tokens), row.reasoning_tokens ? h("small", null, `${format.compact(row.reasoning_tokens)} reasoning`) : null]),
    num("p50", (row) => format.duration(row.p50_ms)), num("p95", (row) => format.duration(row.p95_ms)), num("TTFT p50", (row) => format.duration(row.ttft_p50_ms)),
    num("Cost", (row) => [h("span", { title: row.unpriced_count ? `${format.plural(row.unpriced_count, "call")} of unknown price` : null }, format.costSum(row.cost, row.unpriced_count)), share(row.cost, most)]),
  ];
}

/** A class that is left out costs as much as its plain one. @param {string} name */
function priceOf(row, name) {
  const prices = row.priced?.prices ?? [];
  const of = (/** @type {string} */ wanted) => prices.find((/** @type {any} */ one) => one.class === wanted && one.unit === "token");
  if (of(name)) return perMillion(of(name).price);
  return name.startsWith("cache") && of("input") ? h("span", { class: "muted", title: perMillion(of("input").price) }, "as input") : format.NONE;
}

/** @param {number} price */
function perMillion(price) {
  return `$${(price * 1e6).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 })}`;
}

/** @param {number|null} cost @param {number} most */
function share(cost, most) {
  const bar = h("span", { class: "share", "aria-hidden": "true" });
  bar.style.width = `${((cost ?? 0) / most) * 100}%`;
  return bar;
}

function nameOf(row) {
  if (!row.model) return h("span", { class: "muted" }, "without a model");
  const { priced } = row;
  const others = (priced?.prices ?? []).filter((/** @type {any} */ one) => !CLASSES.some(([name]) => name === one.class)).map((/** @type {any} */ one) => `${WORDS[one.class] ?? one.class} ${one.unit === "token" ? perMillion(one.price) : `${format.cost(one.price)} per ${one.unit}`}`);
  const facts = [(row.providers ?? []).join(", "), others.join(" · "), priced?.deprecation_date ? `${Date.parse(priced.deprecation_date) > Date.now() ? "retires" : "retired"} on ${priced.deprecation_date}` : ""].filter(Boolean);
  const key = priced?.price_key && priced.price_key !== row.model ? `priced as ${priced.price_key}${priced.quality && priced.quality !== "exact" ? ` (${priced.quality})` : ""}` : priced && !priced.price_key ? "no price known" : "";
  return [h("a", { href: callsAddress({ model: row.model }) }, format.visible(row.model)), h("small", null, facts.join(" · ")), key ? h("small", { class: priced.price_key ? null : "is-unknown" }, format.visible(key)) : null];
}
