// @ts-check
/**
 * What the list shows ↔ the address bar ↔ the API. Pure.
 * The grammar itself (`model:gpt-4o cost>0.01 -word`) is parsed by the server; here it is only cut into words for chips.
 */

/**
 * @typedef {{q: string, model: string, provider: string, status: string, since: string, from: string, to: string,
 *   tag: string, session: string, user: string, tool: string, sort: string}} Filter
 */

/** @type {(keyof Filter)[]} */
export const KEYS = ["q", "model", "provider", "status", "since", "from", "to", "tag", "session", "user", "tool", "sort"];

/** Names of the API where they differ from the address bar's. @type {Record<string, string>} */
const API_NAMES = { q: "filter", from: "date_from", to: "date_to", session: "session_id", user: "user_id" };

/** Parameters older links carry. @type {Record<string, keyof Filter>} */
const OLD_NAMES = { filter: "q", date: "since", session_id: "session", user_id: "user", date_from: "from", date_to: "to" };

/** @returns {Filter} */
export function empty() {
  return { q: "", model: "", provider: "", status: "", since: "", from: "", to: "", tag: "", session: "", user: "", tool: "", sort: "" };
}

/** @param {string} search @returns {Filter} */
export function fromSearch(search) {
  const filter = empty();
  for (const [name, value] of new URLSearchParams(search)) {
    const key = /** @type {keyof Filter} */ (OLD_NAMES[name] ?? name);
    if (KEYS.includes(key)) filter[key] = value.slice(0, 2000);
  }
  if (!/^(|\d+[smhdw])$/.test(filter.since)) filter.since = "";
  if (!/^\d*$/.test(filter.from)) filter.from = "";
  if (!/^\d*$/.test(filter.to)) filter.to = "";
  return filter;
}

/** @param {Filter} filter @returns {string} "" or "?q=…" */
export function toSearch(filter) {
  const params = new URLSearchParams();
  for (const key of KEYS) if (filter[key]) params.set(key, filter[key]);
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** The same as parameters of /api/traces. @param {Filter} filter @returns {Record<string, string>} */
export function toApi(filter) {
  /** @type {Record<string, string>} */
  const params = {};
  for (const key of KEYS) {
    if (key === "since" || !filter[key]) continue;
    params[API_NAMES[key] ?? key] = filter[key].trim();
  }
  // "since" belongs to the grammar: the server's clock decides, also for a live subscription that lasts
  if (filter.since) params.filter = `${params.filter ?? ""} since:${filter.since}`.trim();
  return params;
}

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

/** A `field:value` word, quoted where it must be. @param {string} field @param {string} value */
export function term(field, value) {
  const clean = value.replaceAll('"', "");
  return /[\s]/.test(clean) ? `${field}:"${clean}"` : `${field}:${clean}`;
}

/** @typedef {{key: string, word: string, label: string}} Chip */

const SINCE = /** @type {Record<string, string>} */ ({ "15m": "last 15 min", "1h": "last hour", "24h": "last 24 h", "7d": "last 7 days", "30d": "last 30 days" });

/** What is active, one chip each. @param {Filter} filter @param {(ms: number) => string} [time] @returns {Chip[]} */
export function chips(filter, time = String) {
  /** @type {Chip[]} */
  const list = words(filter.q).map((word) => ({ key: "q", word, label: word }));
  for (const key of KEYS) {
    const value = filter[key];
    if (!value || key === "q" || key === "sort" || key === "to") continue;
    if (key === "since") list.push({ key, word: value, label: SINCE[value] ?? `last ${value}` });
    else if (key === "from") list.push({ key, word: value, label: rangeLabel(filter, time) });
    else if (key === "status") list.push({ key, word: value, label: value === "error" ? "errors only" : "without errors" });
    else list.push({ key, word: value, label: `${key}: ${value}` });
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

/** @param {Filter} filter */
export function isActive(filter) {
  return KEYS.some((key) => key !== "sort" && filter[key] !== "");
}

/** Old addresses of the hash router, as paths. @param {string} hash @returns {string|null} */
export function pathFromHash(hash) {
  const match = /^#(timeline|traces|sessions|logs|metrics|models|analytics|setup)\b(.*)$/.exec(hash);
  if (!match) return null;
  const trace = new URLSearchParams(match[2].replace(/^\?/, "")).get("trace");
  return match[1] === "traces" && trace ? `/traces/${encodeURIComponent(trace)}` : `/${match[1]}`;
}
