// @ts-check
/** Addresses of our own screens. Pure. */
import { term } from "./filter.js";

/** Parameters of the API → of the list's address. What has no place there becomes a word of the search. @type {Record<string, string>} */
const PLACES = { model: "model", provider: "provider", status: "status", tag: "tag", session_id: "session", user_id: "user", tool: "tool", date_from: "from", date_to: "to" };
const WORDS = /** @type {Record<string, string>} */ ({ service_name: "service", source: "source", span_type: "kind", conversation_id: "conversation", prompt_name: "prompt" });

/**
 * The list of the calls that a value is made of: all of them, also those within a larger trace.
 * @param {Record<string, any>} filter parameters of GET /api/traces @param {Record<string, any>} [more] these win
 */
export function callsAddress(filter, more = {}) {
  const params = new URLSearchParams();
  const words = [];
  for (const [name, value] of Object.entries({ ...filter, ...more })) {
    if (value == null || value === "") continue;
    if (PLACES[name]) params.set(PLACES[name], String(value));
    else if (WORDS[name]) words.push(term(WORDS[name], String(value)));
    else if (name === "filter" || name === "q") words.push(String(value));
  }
  if (words.length) params.set("q", words.join(" "));
  params.set("spans", "all");
  return `/traces?${params}`;
}

/** @param {string} trace @param {string} [span] @param {string} [tab] */
export function traceAddress(trace, span, tab) {
  const params = new URLSearchParams();
  if (span) params.set("span", span);
  if (tab) params.set("tab", tab);
  return `/traces/${encodeURIComponent(trace)}${params.size ? `?${params}` : ""}`;
}

/** The same screen with other parameters; empty ones go. @param {string} path @param {string} search @param {Record<string, string|null|undefined>} changes */
export function addressWith(path, search, changes) {
  const params = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  return params.size ? `${path}?${params}` : path;
}
