// @ts-check
/** Prompts: what calls were made from, how each did; and one of them by its versions, two of which are compared word by word. */
import { get } from "../feed/api.js";
import { change } from "../lib/diff.js";
import * as format from "../lib/format.js";
import { addressWith, callsAddress, traceAddress } from "../lib/links.js";
import { columns } from "../parts/chart.js";
import { copyButton, debounce, h, icon, notice, put, time } from "../parts/dom.js";
import { card, choice, listening, mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";
import { parameterTable, parts } from "./diff.js";

const LIMIT = 200;
const SHOWN = 30; // versions; older ones open on request
const DRAWN = 7; // versions with a colour of their own
const LONG = 700; // characters that both texts have in a row
const KEPT = 240;
/** @type {[string, string][]} */
const SORTS = [["calls", "by calls"], ["cost", "by cost"], ["errors", "by errors"], ["p95_ms", "by p95"], ["last_seen", "by last use"], ["name", "by name"]];
/** @type {[string, string][]} */
const SINCE = [["", "Any time"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]];

/** @typedef {{label: string, cls?: string, isHead?: boolean, title?: string, cell: (row: any) => any}} Column */

/** @param {string} label @param {(row: any) => any} cell @param {string} [title] @returns {Column} */
const num = (label, cell, title) => ({ label, cls: "num", cell, title });

/** @param {number} ms */
const at = (ms) => time(ms, format.stamp(ms), format.iso(ms));

/** @param {string} search */
function chosen(search) {
  const params = new URLSearchParams(search);
  const of = (/** @type {string} */ name, /** @type {[string, string][]} */ known) => { const value = params.get(name) ?? ""; return known.some(([one]) => one === value) ? value : known[0][0]; };
  return { q: params.get("q") ?? "", sort: of("sort", SORTS), since: of("since", SINCE), a: params.get("a") ?? "", b: params.get("b") ?? "" };
}

/** @param {string} since */
const within = (since) => ({ filter: since ? `since:${since}` : "" });

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  /** @type {{update: () => void, reload: () => void, unmount: () => void}|null} */
  let part = null;
  let shown = /** @type {string|undefined} */ ("nothing yet");
  return {
    update() {
      const { prompt } = state.route.params;
      if (part && prompt === shown) return part.update();
      part?.unmount();
      el.replaceChildren();
      shown = prompt;
      part = prompt === undefined ? mountAll(el, state) : mountOne(el, state, prompt);
      part.update();
      return undefined;
    },
    reload: () => part?.reload(),
    unmount: () => part?.unmount(),
  };
}

/** How a prompt without a name is called: as it begins. */
function nameOf(row) {
  if (row.name != null) return format.visible(row.name);
  return row.preview ? `“${format.visible(row.preview)}${row.preview.length >= 160 ? "…" : ""}”` : row.key;
}

// ---- all of them
/** @param {HTMLElement} el @param {import("../state.js").State} state */
function mountAll(el, state) {
  const box = h("input", { type: "search", "aria-label": "Search prompts", placeholder: "Search prompts", autocomplete: "off", spellcheck: "false" });
  const choices = h("span", { class: "selects" });
  const go = (/** @type {Record<string, string>} */ changes) => state.go(addressWith("/prompts", state.route.search, changes), { replace: true });
  const typed = debounce(150, () => go({ q: box.value.trim() }));
  box.addEventListener("input", typed);
  const now = () => chosen(state.route.search);
  const screen = mountScreen(el, {
    cls: "prompts", styles: ["/css/prompts.css", "/css/trace.css"], head: [h("h1", null, "Prompts"), choices, h("label", { class: "search" }, icon("search"), box)],
    ask: (signal) => get("/api/prompts", { limit: LIMIT, sort: now().sort, ...within(now().since) }, signal),
    show: (body, answer) => showAll(body, answer, now(), go),
  });
  const deaf = listening(state.live, { stats: () => screen.renew() });
  return {
    ...screen,
    update() {
      document.title = "Prompts · LLMFlow";
      const { q, sort, since } = now();
      if (document.activeElement !== box) box.value = q;
      put(choices, choice("Time", SINCE, since, (value) => go({ since: value })), choice("Order", SORTS, sort, (value) => go({ sort: value === "calls" ? "" : value })));
      screen.update();
    },
    unmount() {
      typed.cancel();
      deaf();
      screen.unmount();
    },
  };
}

/** @param {HTMLElement} body @param {{q: string, since: string}} now @param {(changes: Record<string, string>) => void} go */
function showAll(body, { prompts, total, note }, { q, since }, go) {
  if (!prompts.length) {
    body.append(since ? notice("No prompt in this time", "", h("button", { type: "button", class: "button primary", onclick: () => go({ since: "" }) }, "Any time"))
      : notice("No prompts yet", "Calls are grouped by the prompt they were made from: by the name they carry, else by how their system message begins.", [naming(), h("a", { class: "button primary", href: "/setup" }, "How to send the first call")]));
    return;
  }
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = prompts.filter((/** @type {any} */ row) => words.every((word) => `${row.key} ${row.preview ?? ""}`.toLowerCase().includes(word)));
  const filter = (/** @type {any} */ row) => ({ prompt_name: row.key, ...within(since) });
  const open = (/** @type {any} */ row) => addressWith(`/prompts/${encodeURIComponent(row.key)}`, "", { since });
  if (note) body.append(h("p", { class: "hint" }, note));
  if (!rows.length) body.append(notice("No prompt matches", `None has “${q}” in its name or at its beginning.`, h("button", { type: "button", class: "button primary", onclick: () => go({ q: "" }) }, "Clear the search")));
  else body.append(table(rows, [
    { label: "Prompt", isHead: true, cell: (row) => [h("a", { href: open(row), class: row.is_named ? null : "begins" }, nameOf(row)), row.is_named && row.preview ? h("small", { class: "begins" }, format.visible(row.preview)) : null] },
    num("Versions", (row) => format.count(row.versions)),
    num("Calls", (row) => h("a", { href: callsAddress(filter(row)) }, format.count(row.calls))),
    num("Errors", (row) => (row.errors ? h("a", { href: callsAddress(filter(row), { status: "error" }) }, format.percent(row.error_rate)) : "0%")),
    num("Cost", (row) => format.costSum(row.cost, row.unpriced_count)), num("Cost / call", (row) => format.cost(row.cost_per_call), "Mean of the calls whose cost is known"),
    num("p50", (row) => format.duration(row.p50_ms)), num("p95", (row) => format.duration(row.p95_ms)), { label: "Last used", cell: (row) => at(row.last_seen) },
  ], { label: "Prompts" }));
  if (total > prompts.length) body.append(h("p", { class: "muted" }, `The first ${format.count(prompts.length)} of ${format.count(total)} prompts in this order.`));
  if (rows.length && prompts.some((/** @type {any} */ row) => !row.is_named)) body.append(h("details", { class: "earlier" }, h("summary", null, "Prompts in quotes have no name yet: how to give them one"), h("div", { class: "earlier-body" }, naming())));
}

/** @param {string} [name] */
function naming(name = "summary") {
  const code = `x-llmflow-prompt: ${name}@1`;
  return h("div", { class: "naming" }, h("p", null, "Send a header with the call. What follows the @ is the version; without it each wording is one."), h("div", { class: "snippet-line" }, h("code", null, code), copyButton(() => code, "Copy the header")));
}

// ---- one
/** @param {HTMLElement} el @param {import("../state.js").State} state @param {string} key */
function mountOne(el, state, key) {
  const now = () => chosen(state.route.search);
  const path = `/prompts/${encodeURIComponent(key)}`;
  const go = (/** @type {Record<string, string>} */ changes) => state.go(addressWith(path, state.route.search, changes), { replace: true });
  const title = h("h1", null, key.startsWith("~") ? "Prompt" : format.visible(key));
  const choices = h("span", { class: "selects" });
  const screen = mountScreen(el, {
    cls: "prompt", styles: ["/css/prompts.css", "/css/trace.css"],
    head: [h("a", { class: "ghost", href: "/prompts", "aria-label": "All prompts", title: "All prompts" }, icon("back")), title, choices],
    async ask(signal) {
      const { since, a, b } = now();
      const gone = (/** @type {any} */ error) => { if (error.status !== 404) throw error; return null; };
      const prompt = await get(`/api/prompts/${encodeURIComponent(key)}`, within(since), signal).catch(gone);
      const hasTwo = a || b || prompt?.versions?.length > 1;
      const diff = hasTwo ? await get(`/api/prompts/${encodeURIComponent(key)}/diff`, { a, b }, signal).catch(gone) : null;
      return { prompt, diff };
    },
    show(body, { prompt, diff }) {
      if (!prompt) {
        body.append(notice("This prompt is not here", "No call that is stored was made from it; the oldest make room for new ones.", h("a", { class: "button", href: "/prompts" }, "All prompts")));
        return;
      }
      title.textContent = nameOf(prompt);
      document.title = `${format.head(nameOf(prompt), 60)} · LLMFlow`;
      showOne(body, prompt, diff, { since: now().since, go });
    },
  });
  const deaf = listening(state.live, { stats: () => screen.renew() });
  return {
    ...screen,
    update() {
      put(choices, choice("Time", SINCE, now().since, (since) => go({ since })));
      screen.update();
    },
    unmount() {
      deaf();
      screen.unmount();
    },
  };
}

/** @param {HTMLElement} body @param {{since: string, go: (changes: Record<string, string>) => void}} on */
function showOne(body, prompt, diff, { since, go }) {
  const calls = (/** @type {any} */ more, /** @type {any} */ text) => h("a", { href: callsAddress({ prompt_name: prompt.key, ...within(since) }, more) }, text);
  if (prompt.note) body.append(h("p", { class: "hint" }, prompt.note));
  if (!prompt.calls) {
    body.append(notice("No call in this time", "", h("button", { type: "button", class: "button primary", onclick: () => go({ since: "" }) }, "Any time")));
    return;
  }
  if (prompt.is_named && prompt.preview) body.append(h("p", { class: "begins muted", dir: "auto" }, format.visible(prompt.preview)));
  if (!prompt.is_named) body.append(h("details", { class: "earlier" }, h("summary", null, "This prompt has no name: it is told by how it begins. How to give it one"), h("div", { class: "earlier-body" }, naming())));
  body.append(h("dl", { class: "cards" },
    card("Calls", calls({}, format.count(prompt.calls)), format.plural(prompt.version_count, "version")),
    card("Errors", prompt.errors ? calls({ status: "error" }, format.percent(prompt.error_rate)) : "0%", prompt.errors ? format.count(prompt.errors) : null),
    card("Cost", format.costSum(prompt.cost, prompt.unpriced_count), prompt.cost_per_call == null ? null : `${format.cost(prompt.cost_per_call)} per call`),
    card("Latency p50", format.duration(prompt.p50_ms), `p95 ${format.duration(prompt.p95_ms)}`), card("Last used", at(prompt.last_seen), ["first ", at(prompt.first_seen)])));
  if (prompt.calls > 1) body.append(overTime(prompt, since));
  body.append(h("h2", { class: "above" }, "Versions"), h("p", { class: "muted" }, prompt.versions.length > 1 ? "The newest first. Choose two to compare." : "One wording so far. When the prompt is edited, the next version stands here beside it."), versionTable(prompt, diff, { since, go }));
  if (diff) body.append(compared(diff));
}

/** Calls by version over time. */
function overTime(prompt, /** @type {string} */ since) {
  const { from, step_ms: step, count } = prompt.slots;
  const times = Array.from({ length: count }, (_, n) => {
    const start = from + n * step;
    const isLong = step * count > 36 * 3.6e6;
    return { label: `${format.day(start)} ${format.clock(start).slice(0, 5)}`, short: isLong ? format.day(start) : format.clock(start).slice(0, 5) };
  });
  const drawn = prompt.versions.slice(-DRAWN);
  const rest = prompt.versions.slice(0, -DRAWN);
  const place = (/** @type {number} */ n) => ({ date_from: Math.floor(from + n * step), date_to: Math.floor(from + (n + 1) * step) - 1 });
  const href = (/** @type {any} */ row) => (/** @type {number} */ n) => callsAddress({ prompt_name: named(prompt, row), ...within(since) }, place(n));
  const series = drawn.map((/** @type {any} */ row, /** @type {number} */ n) => ({ label: format.visible(row.label), values: row.slots, color: n, total: format.count(row.calls), href: href(row) }));
  if (rest.length) series.unshift({ label: "earlier versions", color: "rest", total: "", values: rest[0].slots.map((/** @type {number} */ _, /** @type {number} */ n) => rest.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row.slots[n], 0)) });
  return columns({ title: "Calls by version", times, text: format.count, isWhole: true, href: href(null), series });
}

/** What finds the calls of a version. @param {any} [row] */
function named(prompt, row) {
  return row?.version == null ? prompt.key : `${prompt.key}@${row.version}`;
}

/** @param {{since: string, go: (changes: Record<string, string>) => void}} on */
function versionTable(prompt, diff, { since, go }) {
  const newest = [...prompt.versions].reverse();
  const before = new Map(prompt.versions.map((/** @type {any} */ row, /** @type {number} */ n) => [row, prompt.versions[n - 1]]));
  /** @param {"a"|"b"} side */
  const pick = (side) => ({
    label: side.toUpperCase(), title: side === "a" ? "What it is compared with" : "What is compared", cls: "pick",
    cell: (/** @type {any} */ row) => (row.newest_id == null ? null : h("input", { type: "radio", name: `version-${side}`, "data-key": `${side} ${row.number}`, checked: diff?.[side]?.number === row.number, "aria-label": side === "a" ? `Compare with ${row.label}` : `Compare ${row.label}`, onchange: () => go({ [side]: row.version ?? row.label, ...(diff ? { [side === "a" ? "b" : "a"]: other(diff, side) } : {}) }) })),
  });
  const beside = (/** @type {any} */ row, /** @type {string} */ name) => {
    const ratio = before.get(row)?.[name] ? row[name] / before.get(row)[name] : null;
    return change(ratio) && h("small", { class: Number(ratio) > 1 ? "is-more" : "is-less", title: "Against the version before" }, change(ratio));
  };
  /** @type {Column[]} */
  const shape = [
    { label: "Version", isHead: true, cell: (row) => [format.visible(row.label), row.models.length ? h("small", null, row.models.map(format.visible).join(", ")) : null] },
    ...(newest.length > 1 ? [pick("a"), pick("b")] : []),
    num("Calls", (row) => h("a", { href: callsAddress({ prompt_name: named(prompt, row), ...within(since) }), "aria-label": `Show the ${format.plural(row.calls, "call")} of ${row.label}` }, format.count(row.calls))),
    num("Errors", (row) => (row.errors ? h("a", { href: callsAddress({ prompt_name: named(prompt, row), ...within(since) }, { status: "error" }) }, format.percent(row.error_rate)) : "0%")),
    num("Cost", (row) => format.costSum(row.cost, row.unpriced_count)), num("Cost / call", (row) => [format.cost(row.cost_per_call), beside(row, "cost_per_call")], "Mean of the calls whose cost is known"),
    num("Tokens in", (row) => format.compact(row.avg_prompt_tokens), "Per call"), num("Tokens out", (row) => format.compact(row.avg_completion_tokens), "Per call"),
    num("p50", (row) => [format.duration(row.p50_ms), beside(row, "p50_ms")]), num("p95", (row) => format.duration(row.p95_ms)), num("TTFT p50", (row) => format.duration(row.ttft_p50_ms)),
    { label: "First used", cell: (row) => at(row.first_seen) }, { label: "Last used", cell: (row) => (row.newest_id ? h("a", { href: traceAddress(row.newest_trace_id, row.newest_id), title: "Its newest call" }, at(row.last_seen)) : at(row.last_seen)) },
  ];
  const earlier = newest.slice(SHOWN);
  return h("div", { class: "part-of" }, table(newest.slice(0, SHOWN), shape, { label: "Versions" }),
    earlier.length ? h("details", { class: "earlier" }, h("summary", null, format.plural(earlier.length, "earlier version")), h("div", { class: "earlier-body" }, table(earlier, shape, { label: "Earlier versions" }))) : null);
}

/** @param {"a"|"b"} side */
function other(diff, side) {
  const row = diff[side === "a" ? "b" : "a"];
  return row.version ?? row.label;
}

// ---- two versions
function compared(diff) {
  const { a, b, ops, parameters, notes } = diff;
  const isSame = a.number === b.number;
  const heading = isSame ? "Choose two different versions" : `${format.visible(a.label)} → ${format.visible(b.label)}`;
  const content = ops.every((/** @type {[string, string]} */ [op]) => op === "=") ? h("p", { class: "muted" }, ops.length ? "The texts of their newest calls are the same." : "Neither text is stored.") : h("div", { class: "words plain", dir: "auto" }, ops.map(said));
  return h("section", { class: "part-of compared", "aria-label": "Comparison" }, h("h2", { class: "above" }, heading),
    ...notes.map((/** @type {string} */ note) => h("p", { class: "hint" }, note)), isSame ? null : [content, parts("Parameters", "of the newest call of each", parameterTable(parameters)),
      h("p", null, h("a", { href: `/diff/${encodeURIComponent(a.id)}/${encodeURIComponent(b.id)}` }, "Compare these two calls whole"))]);
}

/** A piece of both, of the first or of the second; a long stretch of both is folded. @param {[string, string]} piece @param {number} n @param {[string, string][]} all */
function said([op, text], n, all) {
  if (op !== "=") return h(op === "+" ? "ins" : "del", null, text.length < 4 * LONG ? text : folded(text, LONG, KEPT, "characters"));
  return text.length < LONG ? text : folded(text, n ? KEPT : 0, n < all.length - 1 ? KEPT : 0, "characters the same");
}

/** The beginning and the end of a text, and a button for what lies between. @param {string} text @param {number} first @param {number} last @param {string} words */
function folded(text, first, last, words) {
  const head = format.head(text, first);
  const hidden = text.slice(head.length, text.length - last);
  const button = h("button", { type: "button", class: "more", onclick: () => button.replaceWith(hidden) }, `… ${format.count(hidden.length)} ${words} …`);
  return [head, button, last ? text.slice(-last) : ""];
}
