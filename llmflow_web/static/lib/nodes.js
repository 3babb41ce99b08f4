// @ts-check
/** A JSON value as nodes that are asked for one level at a time, so that a tree need never be built whole. Pure. */
import { head } from "./format.js";

export const LONG_STRING = 600;
const PREVIEW_KEYS = ["role", "type", "name", "id"];

/**
 * What a tree shows of one value: its kind, how much is in it, a line of preview; a plain value itself, a long text its beginning.
 * @typedef {{key: string|number|null, kind: "object"|"array"|"string"|"number"|"boolean"|"null", size: number, text: string}} Node
 */

/** @param {string|number|null} key @param {unknown} value @returns {Node} */
export function node(key, value) {
  if (value === null || value === undefined) return { key, kind: "null", size: 0, text: "null" };
  if (Array.isArray(value)) return { key, kind: "array", size: value.length, text: value.length ? `[ ${value.length} ]` : "[]" };
  if (typeof value === "object") {
    const keys = Object.keys(value);
    return { key, kind: "object", size: keys.length, text: keys.length ? preview(/** @type {any} */ (value), keys) : "{}" };
  }
  if (typeof value === "string") return { key, kind: "string", size: value.length, text: head(value, LONG_STRING) };
  return { key, kind: /** @type {any} */ (typeof value), size: 0, text: String(value) };
}

/** @param {Record<string, unknown>} value @param {string[]} keys */
function preview(value, keys) {
  const name = PREVIEW_KEYS.find((key) => typeof value[key] === "string");
  return `{ ${name ? `${name}: ${head(String(value[name]), 40)}` : head(keys.slice(0, 12).join(", "), 60)} }`;
}

/** The value at a path of keys. @param {any} value @param {(string|number)[]} path */
export function at(value, path) {
  for (const key of path) value = value?.[key];
  return value;
}

/** Some of the children of what lies at `path`. @param {unknown} value @param {(string|number)[]} path @param {number} from @param {number} count @returns {Node[]} */
export function children(value, path, from, count) {
  const parent = at(value, path);
  if (Array.isArray(parent)) return parent.slice(from, from + count).map((item, i) => node(from + i, item));
  if (!parent || typeof parent !== "object") return [];
  return Object.keys(parent).slice(from, from + count).map((key) => node(key, parent[key]));
}
