// @ts-check
/** Numbers, times and sizes as people read them: those of the first screen, and the rest. Pure: no document, no clock but the one handed in. */
import { NONE } from "./figures.js";

export * from "./figures.js";

/** A price per unit as price per million. @param {number} price */
export function perMillion(price) {
  const value = price * 1e6;
  return `$${Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 4 })}`;
}

/** @param {number|null|undefined} n */
export function bytes(n) {
  if (n == null || !Number.isFinite(n)) return NONE;
  if (n < 1024) return `${n} B`;
  const units = ["KB", "MB", "GB"];
  let value = n;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1024 && unit < units.length - 1);
  return `${value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** @param {number|null|undefined} part 0…1 */
export function percent(part) {
  if (part == null || !Number.isFinite(part)) return NONE;
  const value = part * 100;
  return `${value === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)}%`;
}

/**
 * Output tokens per second of the streaming part (of the whole call when it was not streamed).
 * @param {{completion_tokens?: number|null, duration_ms?: number|null, ttft_ms?: number|null}} row
 */
export function tokensPerSecond(row) {
  if (!row.completion_tokens || !row.duration_ms) return null;
  const span = row.ttft_ms != null && row.ttft_ms < row.duration_ms * 0.98 ? row.duration_ms - row.ttft_ms : row.duration_ms;
  return span > 0 ? row.completion_tokens / (span / 1000) : null;
}

/** @param {number|null|undefined} n */
export function rate(n) {
  return n == null ? NONE : n >= 100 ? String(Math.round(n)) : n.toFixed(1);
}

/** First `limit` characters, never cutting a surrogate pair. @param {string} text @param {number} limit */
export function head(text, limit) {
  if (text.length <= limit) return text;
  const code = text.charCodeAt(limit - 1);
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? limit - 1 : limit);
}
