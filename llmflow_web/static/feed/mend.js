// @ts-check
/** What comes live, put among the rows of a list that stands; brought when the first of it comes. */
import { keyOf } from "../lib/pages.js";

const MAX_WAITING = 1000; // beyond, new rows are only counted
const SUMS = ["span_count", "error_count", "trace_cost", "trace_tokens", "trace_unpriced"];

/** @typedef {import("./rows.js").Rows} Rows */

/** The first page was asked for again, since something may have been missed. @param {Rows} rows @param {{rows: any[], next: string|null}} first @returns {any[]} what of it is to be taken in */
export function mend(rows, first) {
  const { known } = rows.pages;
  // a whole new page between us and them: begin anew, when nobody looks. What came live since proves nothing
  const overlaps = !first.next || first.rows.some((row) => rows.before?.has(keyOf(row)));
  if (!overlaps) {
    rows.uncounted = first.rows.length;
    return [];
  }
  const keys = new Set(first.rows.map(keyOf));
  for (const [key, row] of known) if (row.running && !keys.has(key)) rows.pages.remove(key);
  return first.rows;
}

/** @param {Rows} rows @param {{op: string, row: any}[]} todo */
export function takeIn(rows, todo) {
  const roots = new Map([...rows.pages.known.values(), ...rows.waiting.values()].map((row) => [row.trace_id, row]));
  for (const { op, row } of todo) one(rows, op, row, roots);
}

/** @param {Rows} rows @param {string} op @param {any} row @param {Map<string, any>} roots */
function one(rows, op, row, roots) {
  const key = keyOf(row);
  const known = rows.pages.known.get(key);
  if (op === "delete") forget(rows, [row.trace_id]);
  else if (op === "ended") {
    if ((known ?? rows.waiting.get(key))?.running) drop(rows, key); // it was not recorded
  } else if ((row.is_root === false && !rows.filter?.spans) || row.joined_to != null) {
    drop(rows, key); // its parent came after it, or another row tells of the same call
    const root = roots.get(row.trace_id);
    if (root && row.joined_to == null) for (const name of SUMS) if (row[name] != null) root[name] = row[name];
  } else if (known) {
    if (!row.running || known.running) rows.pages.upsert(row);
  } else if (rows.waiting.has(key) || rows.waiting.size < MAX_WAITING) {
    rows.waiting.set(key, row);
  } else if (op === "new") rows.uncounted += 1;
}

/** @param {Rows} rows @param {string} key */
function drop(rows, key) {
  rows.waiting.delete(key);
  rows.pages.remove(key);
}

/** Traces that are no more. @param {Rows} rows @param {string[]} ids */
export function forget(rows, ids) {
  const gone = new Set(ids);
  for (const some of [rows.waiting, rows.pages.known]) for (const [key, row] of some) if (gone.has(row.trace_id)) drop(rows, key);
}
