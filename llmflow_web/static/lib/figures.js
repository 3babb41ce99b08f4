// @ts-check
/** Numbers, times and sizes as people read them. Pure: no document, no clock but the one handed in. */

export const NONE = "–";

const grouped = new Intl.NumberFormat("en-US");

/** @param {number|null|undefined} ms */
export function duration(ms) {
  if (ms == null || !Number.isFinite(ms)) return NONE;
  if (ms < 1) return `${ms < 0.05 ? 0 : ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h ${pad(Math.floor((seconds % 3600) / 60))}m`;
}

/** @param {number} n @param {number} [width] */
function pad(n, width = 2) {
  return String(n).padStart(width, "0");
}

/** Exact count with separators. @param {number|null|undefined} n */
export function count(n) {
  return n == null || !Number.isFinite(n) ? NONE : grouped.format(n);
}

/** Short count: 999, 1.2K, 34K, 1.2M. @param {number|null|undefined} n */
export function compact(n) {
  if (n == null || !Number.isFinite(n)) return NONE;
  for (const [size, unit] of /** @type {[number, string][]} */ ([[1e9, "B"], [1e6, "M"], [1e3, "K"]])) {
    // 999,950 would print as "1000.0K": let the next unit have it
    if (n >= size * 0.99995 && n >= 1000) {
      const value = n / size;
      return `${value >= 99.95 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, "")}${unit}`;
    }
  }
  return String(Number.isInteger(n) ? n : Number(n.toFixed(1)));
}

/** US dollars; null is unknown, never an invented number. @param {number|null|undefined} usd */
export function cost(usd) {
  if (usd == null || !Number.isFinite(usd)) return NONE;
  if (usd === 0) return "$0";
  if (usd < 0) return `-${cost(-usd)}`;
  if (usd < 0.00001) return "<$.00001";
  if (usd < 0.000095) return `$${usd.toFixed(5)}`;
  if (usd < 0.1) return `$${usd.toFixed(4)}`;
  if (usd < 1) return `$${usd.toFixed(3)}`;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/** A sum in which some costs are not known: at least what is known, and unknown where nothing is. @param {number|null|undefined} usd @param {number|null|undefined} unknown how many costs are missing */
export function costSum(usd, unknown) {
  if (!unknown) return cost(usd);
  return usd ? `≥ ${cost(usd)}` : NONE;
}

/** US dollars in full, for bills. @param {number|null|undefined} usd */
export function costExact(usd) {
  if (usd == null || !Number.isFinite(usd)) return NONE;
  return `$${usd.toFixed(8).replace(/(\.\d{4}\d*?)0+$/, "$1")}`;
}

/** How long ago, in one short word; a date from two days on. @param {number|null|undefined} ms @param {number} now */
export function ago(ms, now) {
  if (ms == null) return NONE;
  const s = Math.max(0, (now - ms) / 1000);
  if (s < 2) return "now";
  if (s < 60) return `${Math.floor(s)}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 172_800) return `${Math.floor(s / 3600)}h`;
  return day(ms);
}

/** Local date "Nov 22" (with the year when it is not this one). @param {number} ms @param {number} [now] */
export function day(ms, now = Date.now()) {
  const date = new Date(ms);
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { month: "short", day: "numeric" };
  if (date.getFullYear() !== new Date(now).getFullYear()) options.year = "numeric";
  return date.toLocaleDateString("en-US", options);
}

/** Local time of day "14:03:22", with ".123" on request. @param {number|null|undefined} ms @param {boolean} [millis] */
export function clock(ms, millis = false) {
  if (ms == null) return NONE;
  const d = new Date(ms);
  const base = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  return millis ? `${base}.${pad(d.getMilliseconds(), 3)}` : base;
}

/** Day and time of day. @param {number|null|undefined} ms */
export function stamp(ms) {
  return ms == null ? NONE : `${day(ms)} ${clock(ms)}`;
}

/** Absolute ISO time with milliseconds. @param {number|null|undefined} ms */
export function iso(ms) {
  if (ms == null || !Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return "";
  return new Date(ms).toISOString();
}

/** "1 span", "2 spans". @param {number} n @param {string} word @param {string} [many] */
export function plural(n, word, many) {
  return `${count(n)} ${n === 1 ? word : (many ?? `${word}s`)}`;
}

// joiners are part of how some scripts and emoji are written: only after Latin letters do they hide something
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|(?<=[\u0000-\u024f])[\u200c\u200d]|[\u{e0000}-\u{e007f}]/gu;

/** A name or id with the characters one cannot see written out, so that nothing can pose as something else. @param {unknown} text @returns {string} */
export function visible(text) {
  return String(text).replace(HIDDEN, (char) => `‹U+${/** @type {number} */ (char.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0")}›`);
}
