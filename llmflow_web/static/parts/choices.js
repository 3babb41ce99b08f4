// @ts-check
/** What the quick choices of the filter bar offer: the values there are, the most frequent first. */
import { get } from "../feed/api.js";
import { h } from "./dom.js";

const FRESH_MS = 20_000; // older ones are asked for again
const FIELDS = ["model", "provider", "tag", "session"];

let askedAt = -Infinity;

/** @param {Record<string, HTMLSelectElement>} selects */
export async function loadChoices(selects) {
  if (performance.now() - askedAt < FRESH_MS && selects.model.options.length > 2) return;
  askedAt = performance.now();
  await Promise.all(FIELDS.map((field) => load(field, selects[field])));
}

/** @param {string} field @param {HTMLSelectElement} select */
async function load(field, select) {
  try {
    const { values } = await get("/api/facets", { field });
    const known = new Set([...select.options].map((option) => option.value));
    select.append(...values.filter((/** @type {any} */ one) => !known.has(String(one.value))).map((/** @type {any} */ one) => h("option", { value: one.value }, one.value)));
  } catch { /* the choice stays as it is; the text box can do it all */ }
}
