// @ts-check
/** Arithmetic of charts: round marks for an axis, values to places, points to paths. Pure. */

/**
 * Marks from zero to at least `most`, so many at the utmost, at round numbers.
 * @param {number} most @param {number} [count] @param {boolean} [isWhole] only whole numbers @returns {number[]}
 */
export function ticks(most, count = 4, isWhole = false) {
  if (!(most > 0) || !Number.isFinite(most)) return [0];
  const rough = most / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  let step = /** @type {number} */ ([1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= rough * 0.999999));
  if (isWhole) step = Math.max(1, Math.ceil(step));
  const marks = [];
  for (let i = 0; i === 0 || marks[i - 1] < most * 0.999999; i += 1) marks.push(Number((i * step).toPrecision(12)));
  return marks;
}

const DURATIONS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];

/** The same for milliseconds: round as clocks are. @param {number} most @param {number} [count] */
export function durationTicks(most, count = 4) {
  if (!(most > 0) || !Number.isFinite(most)) return [0];
  const step = DURATIONS.find((one) => one * count >= most) ?? Math.ceil(most / count / 86_400_000) * 86_400_000;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

const DECADES = [0.1, 1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 21_600_000, 86_400_000, 864_000_000];

/** Whether a few values dwarf the others. @param {number[]} values */
export function isUneven(values) {
  const known = values.filter((value) => value > 0).sort((a, b) => a - b);
  return known.length > 2 && known[known.length - 1] > 20 * known[known.length >> 1];
}

/** Marks for milliseconds of all sizes, from below the least to above the most. @param {number[]} values */
export function logTicks(values) {
  const known = values.filter((value) => value > 0);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const first = DECADES.findLastIndex((one) => one <= least);
  const last = DECADES.findIndex((one) => one >= most);
  return DECADES.slice(Math.max(0, first), last < 0 ? undefined : Math.max(last, first + 1) + 1);
}

/** Which points of an axis bear a mark: where a day begins if there are several, else every n-th. @param {{isFirst?: boolean}[]} times @param {number} most @returns {number[]} */
export function axisMarks(times, most) {
  const days = times.flatMap((time, at) => (time.isFirst ? [at] : []));
  const chosen = days.length >= 3 ? thin(days.length, most).map((i) => days[i]) : thin(times.length, most);
  return chosen.filter((at) => (at + 0.5) / times.length < 0.95);
}

/** How many of something people can take in at a time: every n-th of `count`, at most `most`. @param {number} count @param {number} most @returns {number[]} indexes */
export function thin(count, most) {
  const step = Math.max(1, Math.ceil(count / most));
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
}

/**
 * The line through the points that are known, broken where more than `gap` in a row are not; a point without neighbours becomes a short dash.
 * @param {(number|null|undefined)[]} values @param {(i: number) => number} x @param {(value: number) => number} y @param {number} [gap]
 */
export function linePath(values, x, y, gap = 0) {
  const known = values.flatMap((value, i) => (value == null || !Number.isFinite(value) ? [] : [{ i, value }]));
  const isNear = (/** @type {number} */ n) => n > 0 && n < known.length && known[n].i - known[n - 1].i <= gap + 1;
  return known.map(({ i, value }, n) => {
    if (isNear(n)) return `L${round(x(i))} ${round(y(value))}`;
    return isNear(n + 1) ? `M${round(x(i))} ${round(y(value))}` : `M${round(x(i) - 2)} ${round(y(value))}h4`;
  }).join("");
}

/** @param {number} n */
function round(n) {
  return Math.round(n * 10) / 10;
}

/**
 * Values stacked upon each other: for each series the lower and upper end at each point.
 * @param {number[][]} series values of each series at each point @returns {[number, number][][]}
 */
export function stack(series) {
  const tops = (series[0] ?? []).map(() => 0);
  return series.map((values) => values.map((value, i) => {
    const low = tops[i];
    tops[i] += value;
    return [low, tops[i]];
  }));
}
