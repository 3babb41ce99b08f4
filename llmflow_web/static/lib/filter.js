// @ts-check
/**
 * What the list shows ↔ the address bar ↔ the API. Pure.
 * The grammar of the text is read by the server, in `grammar` for suggestions, and cut into words in `chips`.
 */

/**
 * @typedef {{q: string, model: string, provider: string, status: string, since: string, from: string, to: string,
 *   tag: string, session: string, user: string, tool: string, spans: string, sort: string, cols: string}} Filter `spans`: "all" lists calls within traces, too
 */

/** @type {(keyof Filter)[]} */
export const KEYS = ["q", "model", "provider", "status", "since", "from", "to", "tag", "session", "user", "tool", "spans", "sort", "cols"];

/** How it is shown, not what: no filter. @type {ReadonlySet<keyof Filter>} */
export const MANNERS = new Set(["sort", "cols"]);

/** Names of the API where they differ from the address bar's. @type {Record<string, string>} */
const API_NAMES = { q: "filter", from: "date_from", to: "date_to", session: "session_id", user: "user_id" };

/** Parameters older links carry. @type {Record<string, keyof Filter>} */
const OLD_NAMES = { filter: "q", date: "since", session_id: "session", user_id: "user", date_from: "from", date_to: "to" };

/** @returns {Filter} */
export function empty() {
  return { q: "", model: "", provider: "", status: "", since: "", from: "", to: "", tag: "", session: "", user: "", tool: "", spans: "", sort: "", cols: "" };
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
  if (!/^-?(|time|duration|cost|tokens)$/.test(filter.sort)) filter.sort = "";
  if (!/^[a-z,]*$/.test(filter.cols)) filter.cols = "";
  if (filter.spans !== "all") filter.spans = "";
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
    if (key === "since" || key === "cols" || key === "spans" || !filter[key]) continue;
    params[API_NAMES[key] ?? key] = filter[key].trim();
  }
  if (filter.spans) params.roots = "";
  // "since" belongs to the grammar: the server's clock decides, also for a live subscription that lasts
  if (filter.since) params.filter = `${params.filter ?? ""} since:${filter.since}`.trim();
  return params;
}

/** A `field:value` word, quoted where it must be. @param {string} field @param {string} value */
export function term(field, value) {
  const clean = value.replaceAll('"', "");
  return /[\s]/.test(clean) ? `${field}:"${clean}"` : `${field}:${clean}`;
}

/** Nothing but how it is shown is kept. @param {Filter} filter @returns {Filter} */
export function cleared(filter) {
  return { ...empty(), sort: filter.sort, cols: filter.cols };
}

/** @param {Filter} filter */
export function isActive(filter) {
  return KEYS.some((key) => !MANNERS.has(key) && filter[key] !== "");
}
