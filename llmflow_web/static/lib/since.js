// @ts-check
/** "15m", "24h", "7d": how far back. Pure. */

const UNITS = /** @type {Record<string, number>} */ ({ s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7, w: 6.048e8 });

/** @type {[string, string][]} */
export const SINCE = [["", "Any time"], ["15m", "Last 15 min"], ["1h", "Last hour"], ["24h", "Last 24 hours"], ["7d", "Last 7 days"]];

/** @param {string|null} since @param {number} now @returns {number|null} the moment it means, null where it means none */
export function sinceMs(since, now) {
  const match = /^(\d{1,5})([smhdw])$/.exec(since ?? "");
  return match ? now - Number(match[1]) * UNITS[match[2]] : null;
}
