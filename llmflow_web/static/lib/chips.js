// @ts-check
/** What is active in a filter, one thing at a time: named, taken away, added. Pure. */
import { KEYS, MANNERS } from "./filter.js";

/** @typedef {import("./filter.js").Filter} Filter */

/** Cut the text into its words, phrases kept whole. @param {string} text @returns {string[]} */
export function words(text) {
  const found = [];
  let word = "";
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    if (!quoted && /\s/.test(char)) {
      if (word) found.push(word);
      word = "";
    } else word += char;
  }
  if (word) found.push(word);
  return found;
}

/**
 * The text with one word more, or with its opposite in the place of the word; a word that is there already is left out.
 * @param {string} q @param {string} word @param {boolean} [isExcluded]
 */
export function toggled(q, word, isExcluded = false) {
  const wanted = isExcluded ? `-${word}` : word;
  const list = words(q);
  const others = list.filter((one) => one !== word && one !== `-${word}`);
  return (list.includes(wanted) ? others : [...others, wanted]).join(" ");
}

/** @typedef {{key: string, word: string, label: string}} Chip */

const SINCE = /** @type {Record<string, string>} */ ({ "15m": "last 15 min", "1h": "last hour", "24h": "last 24 h", "7d": "last 7 days", "30d": "last 30 days" });

/** What is active, one chip each. @param {Filter} filter @param {(ms: number) => string} [time] @returns {Chip[]} */
export function chips(filter, time = String) {
  /** @type {Chip[]} */
  const list = words(filter.q).map((word) => ({ key: "q", word, label: word }));
  for (const key of KEYS) {
    const value = filter[key];
    if (!value || key === "q" || key === "to" || MANNERS.has(key)) continue;
    if (key === "since") list.push({ key, word: value, label: SINCE[value] ?? `last ${value}` });
    else if (key === "from") list.push({ key, word: value, label: rangeLabel(filter, time) });
    else if (key === "status") list.push({ key, word: value, label: value === "error" ? "errors only" : "without errors" });
    else list.push({ key, word: value, label: key === "spans" ? "calls within traces, too" : `${key}: ${value}` });
  }
  if (filter.to && !filter.from) list.push({ key: "from", word: filter.to, label: rangeLabel(filter, time) });
  return list;
}

/** @param {Filter} filter @param {(ms: number) => string} time */
function rangeLabel(filter, time) {
  const from = filter.from ? time(Number(filter.from)) : "…";
  const to = filter.to ? time(Number(filter.to)) : "now";
  return `${from} → ${to}`;
}

/** @param {Filter} filter @param {Chip} chip @returns {Filter} */
export function without(filter, chip) {
  if (chip.key === "from") return { ...filter, from: "", to: "" };
  if (chip.key !== "q") return { ...filter, [chip.key]: "" };
  const list = words(filter.q);
  const at = list.indexOf(chip.word);
  if (at >= 0) list.splice(at, 1);
  return { ...filter, q: list.join(" ") };
}
