// @ts-check
/** Figures of metrics with their units, as UCUM and OpenTelemetry write them. Pure. */
import * as format from "./format.js";

const SECONDS = /** @type {Record<string, number>} */ ({ s: 1000, ms: 1, us: 0.001, ns: 1e-6, min: 60_000, h: 3_600_000 });
const BYTES = /** @type {Record<string, number>} */ ({ By: 1, KiBy: 1024, MiBy: 1024 ** 2, GiBy: 1024 ** 3, bytes: 1 });

/** @param {number|null|undefined} value @param {string|null|undefined} unit */
export function measure(value, unit) {
  if (value == null || !Number.isFinite(value)) return format.NONE;
  if (unit && SECONDS[unit]) return format.duration(value * SECONDS[unit]);
  if (unit && BYTES[unit]) return format.bytes(Math.round(value * BYTES[unit]));
  if (unit === "USD") return format.cost(value);
  const text = Math.abs(value) > 0 && Math.abs(value) < 1 ? String(Number(value.toPrecision(3))) : format.compact(value);
  const word = unit && unit !== "1" ? unit.replace(/^\{(.*)\}$/, "$1") : "";
  return word === "%" ? `${text}%` : word ? `${text} ${format.visible(word)}` : text;
}

/** What a row of the summary comes to: what a sum added up, what a distribution measured on average, what a gauge was on average. */
export function summaryValue(row) {
  if (row.metric_type === "sum") return { words: "total", value: row.total };
  if (row.observations != null) return { words: `mean of ${format.count(row.observations)}`, value: row.avg_double };
  if (row.avg_double == null && row.max_int != null) return { words: "highest", value: row.max_int }; // of whole numbers there is no average
  return { words: "average", value: row.avg_double ?? row.sum_int };
}

/** What one point says: its value, or the mean of what a distribution observed. @param {any} point @returns {number|null} */
export function pointValue(point) {
  const value = point?.value_double ?? point?.value_int ?? null;
  if (!/histogram|summary/.test(point?.metric_type ?? "")) return value;
  return point.value_int > 0 && point.value_double != null ? point.value_double / point.value_int : null;
}
