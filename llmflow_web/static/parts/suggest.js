// @ts-check
/** What could come next in the filter box: fields while a word begins, values once its field stands. A combobox with a listbox. */
import { get, isAbort } from "../feed/api.js";
import { term } from "../lib/filter.js";
import { count } from "../lib/format.js";
import { FIELDS, HAS, KINDS, SOURCES } from "../lib/grammar.js";
import { debounce, h, put, setAttr, stylesheet } from "./dom.js";

const MOST = 9;
const DEBOUNCE_MS = 120;

/** @type {Record<string, string>} */
const HINTS = {
  model: "which model", provider: "openai, groq …", status: "ok, error, 429, 5xx", name: "of the span", session: "its id", user: "its id", tag: "any of the call's tags",
  source: "proxy, otlp, sdk", kind: "llm, tool, agent …", trace: "its id", span: "its id", has: "tool, image, error, cost", cost: "in US dollars", duration: "2s, 500ms", ttft: "time to first token",
  tokens: "10k", spans: "in the trace", errors: "in the trace", since: "15m, 24h, a date", before: "a date", service: "", tool: "the program that called", prompt: "its name", agent: "its name", operation: "chat, embeddings …", finish: "stop, length …", conversation: "its id",
};
const NUMBERS = ["cost", "duration", "ttft", "tokens", "spans", "errors"];
const SHORT = Object.keys(HINTS);

/** Values that need no question. @type {Record<string, string[]>} */
const VALUES = {
  status: ["ok", "error", "4xx", "5xx", "429"], has: HAS, source: SOURCES, kind: KINDS, type: KINDS, is: ["root"], since: ["15m", "1h", "24h", "7d", "30d"],
  cost: ["0.001", "0.01", "0.1", "1"], duration: ["500ms", "1s", "5s", "30s"], ttft: ["500ms", "1s", "3s"], tokens: ["1k", "10k", "100k"], spans: ["1", "10", "100"], errors: ["0", "3"],
};

/** @typedef {{word: string, label: string, hint: string}} Option */

/** The word that is being written at the caret. @param {string} text @param {number} caret */
export function wordAt(text, caret) {
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < caret; i += 1) {
    if (text[i] === '"') isQuoted = !isQuoted;
    else if (!isQuoted && /\s/.test(text[i])) start = i + 1;
  }
  let end = caret;
  while (end < text.length && !/\s/.test(text[end])) end += 1;
  const word = text.slice(start, end);
  const match = /^(-?)([a-z_]+)(>=|<=|[:=<>])"?(.*?)"?$/i.exec(word);
  const isNegated = word.startsWith("-");
  return { start, end, isNegated, field: match ? match[2].toLowerCase() : "", op: match?.[3] ?? "", part: match ? match[4] : word.replace(/^-/, "") };
}

/** @param {{field: string, op: string, part: string, isNegated: boolean}} word @param {AbortSignal} signal @returns {Promise<Option[]>} */
async function optionsFor({ field, op, part, isNegated }, signal) {
  const sign = isNegated ? "-" : "";
  const begins = (/** @type {string} */ text) => text.toLowerCase().startsWith(part.toLowerCase());
  if (!field) {
    return part ? SHORT.filter(begins).slice(0, MOST).map((name) => ({ word: `${sign}${name}${NUMBERS.includes(name) ? ">" : ":"}`, label: `${name}${NUMBERS.includes(name) ? ">" : ":"}`, hint: HINTS[name] })) : [];
  }
  if (!Object.hasOwn(FIELDS, field)) return [];
  const fixed = VALUES[field];
  if (fixed && field !== "status") return fixed.filter(begins).slice(0, MOST).map((value) => ({ word: `${sign}${field}${op}${value}`, label: value, hint: "" }));
  if (op !== ":" || field === "before") return [];
  const { values } = await get("/api/facets", { field, q: part, limit: MOST }, signal);
  const found = values.map((/** @type {{value: string, count: number}} */ one) => ({ word: sign + term(field, String(one.value)), label: String(one.value), hint: count(one.count) }));
  const more = (fixed ?? []).filter((value) => begins(value) && !found.some((/** @type {Option} */ one) => one.label === value)).map((value) => ({ word: `${sign}${field}:${value}`, label: value, hint: "" }));
  return [...more, ...found].slice(0, MOST);
}

/** @param {HTMLInputElement} input @param {HTMLElement} list role=listbox @param {{onPick: () => void}} options */
export function mountSuggest(input, list, { onPick }) {
  /** @type {Option[]} */
  let options = [];
  stylesheet("/css/extra.css");
  let at = -1;
  let asking = new AbortController();
  const look = debounce(DEBOUNCE_MS, ask);

  async function ask() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    let found = /** @type {Option[]} */ ([]);
    try {
      found = await optionsFor(wordAt(input.value, input.selectionStart ?? 0), signal);
    } catch (error) {
      if (isAbort(error)) return; // no suggestions, no harm
    }
    if (signal.aborted || document.activeElement !== input) return;
    const word = wordAt(input.value, input.selectionStart ?? 0);
    show(found.filter((one) => one.word !== input.value.slice(word.start, word.end)));
  }

  /** @param {Option[]} found */
  function show(found) {
    options = found;
    at = -1;
    list.hidden = !found.length;
    setAttr(input, "aria-expanded", found.length ? "true" : "false");
    put(list, found.map((one, i) => h("li", { role: "option", id: `suggestion-${i}`, "aria-selected": "false", onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); pick(i); } },
      h("span", null, one.label), one.hint ? h("small", null, one.hint) : null)));
    point(-1);
  }

  /** @param {number} index */
  function point(index) {
    at = index;
    [...list.children].forEach((node, i) => setAttr(node, "aria-selected", i === index ? "true" : "false"));
    setAttr(input, "aria-activedescendant", index < 0 ? null : `suggestion-${index}`);
    list.children[index]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} index */
  function pick(index) {
    const { start, end } = wordAt(input.value, input.selectionStart ?? 0);
    const { word } = options[index];
    const isWhole = !/[:<>=]$/.test(word);
    const after = input.value.slice(end).trimStart();
    const text = word + (isWhole ? " " : "");
    input.value = input.value.slice(0, start) + text + after;
    input.setSelectionRange(start + text.length, start + text.length);
    show([]);
    if (isWhole) onPick();
    else ask();
  }

  input.addEventListener("input", look);
  input.addEventListener("click", look);
  input.addEventListener("blur", () => { look.cancel(); asking.abort(); show([]); });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    const isOpen = options.length > 0;
    if (event.key === "ArrowDown" && !isOpen) ask();
    else if (!isOpen) return;
    else if (event.key === "ArrowDown") point((at + 1) % options.length);
    else if (event.key === "ArrowUp") point(at <= 0 ? options.length - 1 : at - 1);
    else if (event.key === "Enter" && at >= 0) pick(at);
    else if (event.key === "Escape") { look.cancel(); show([]); }
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  if (input.value) look();
}
