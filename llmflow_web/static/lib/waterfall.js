// @ts-check
/** The arithmetic of the waterfall: time → place, zoom, idle gaps, stalls, the critical path, other lengths than time. Pure. */
import { startOf } from "./tree.js";

/**
 * @typedef {import("./tree.js").Span} Span
 * @typedef {import("./tree.js").Row} Row
 * @typedef {{from: number, to: number}} Range
 * @typedef {{start: number, end: number}} Box
 * @typedef {{at: (ms: number) => number, back: (place: number) => number, breaks: {from: number, to: number, ms: number}[]}} Scale
 */

export const WHOLE = Object.freeze({ from: 0, to: 1 });
const GAP_SHARE = 0.06; // of the whole: a shorter silence is no gap worth hiding
const BREAK_WIDTH = 0.03; // what a hidden gap still takes
const LEAST_VIEW = 1e-6;
export const STALL_MS = 1000;

/** @param {Span} span */
export function endOf(span) {
  return startOf(span) + Math.max(0, span.duration_ms ?? 0);
}

/** First start and last end of these rows. @param {Row[]} rows @returns {Box} */
export function boxOf(rows) {
  let start = Infinity;
  let end = -Infinity;
  for (const { span } of rows) {
    const from = startOf(span);
    if (from < start) start = from;
    const to = from + Math.max(0, span.duration_ms ?? 0);
    if (to > end) end = to;
  }
  return Number.isFinite(start) ? { start, end: Math.max(end, start + 0.001) } : { start: 0, end: 1 };
}

/** When nothing ran but spans that only wait for others. @param {Row[]} rows all rows, unfolded @param {Box} box @returns {Range[]} */
export function gaps(rows, box) {
  const least = (box.end - box.start) * GAP_SHARE;
  const work = rows.filter((row) => !row.children).map(({ span }) => ({ from: startOf(span), to: endOf(span) })).sort((a, b) => a.from - b.from);
  const found = [];
  let at = box.start;
  for (const { from, to } of work) {
    if (from - at > least) found.push({ from: at, to: from });
    at = Math.max(at, to);
  }
  if (box.end - at > least) found.push({ from: at, to: box.end });
  return found;
}

/** Time ↔ place (0…1) over the box, with the given gaps drawn together. @param {Box} box @param {Range[]} [hidden] @returns {Scale} */
export function scale(box, hidden = []) {
  const length = box.end - box.start;
  const idle = hidden.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const perMs = (1 - BREAK_WIDTH * hidden.length) / Math.max(1e-9, length - idle);
  /** @type {{ms: number, place: number, perMs: number, isGap: boolean, to: number}[]} */
  const pieces = [];
  let place = 0;
  const add = (/** @type {number} */ from, /** @type {number} */ to, /** @type {boolean} */ isGap) => {
    if (to <= from) return;
    const rate = isGap ? BREAK_WIDTH / (to - from) : perMs;
    pieces.push({ ms: from, to, place, perMs: rate, isGap });
    place += (to - from) * rate;
  };
  let at = box.start;
  for (const gap of hidden) {
    add(at, gap.from, false);
    add(gap.from, gap.to, true);
    at = gap.to;
  }
  add(at, box.end, false);
  const last = pieces.length - 1;
  return {
    at(ms) {
      let i = last;
      while (i > 0 && pieces[i].ms > ms) i -= 1;
      return clamp(pieces[i].place + (ms - pieces[i].ms) * pieces[i].perMs, 0, 1);
    },
    back(share) {
      let i = last;
      while (i > 0 && pieces[i].place > share) i -= 1;
      return clamp(pieces[i].ms + (share - pieces[i].place) / pieces[i].perMs, box.start, box.end);
    },
    breaks: pieces.filter((piece) => piece.isGap).map((piece) => ({ from: piece.place, to: piece.place + BREAK_WIDTH, ms: piece.to - piece.ms })),
  };
}

/** @param {number} value @param {number} low @param {number} high */
function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** The view made `factor` times narrower (below 1: wider) around a place in it, 0…1. @param {Range} view @param {number} factor @param {number} [around] @returns {Range} */
export function zoom(view, factor, around = 0.5) {
  const width = view.to - view.from;
  const next = clamp(width / factor, LEAST_VIEW, 1);
  const from = clamp(view.from + width * around - next * around, 0, 1 - next);
  return { from, to: from + next };
}

/** The view moved by a share of itself. @param {Range} view @param {number} by @returns {Range} */
export function pan(view, by) {
  const width = view.to - view.from;
  const from = clamp(view.from + width * by, 0, 1 - width);
  return { from, to: from + width };
}

/** A view from two places in the whole, whichever comes first. @param {number} a @param {number} b @returns {Range} */
export function between(a, b) {
  const from = clamp(Math.min(a, b), 0, 1 - LEAST_VIEW);
  return { from, to: clamp(Math.max(a, b), from + LEAST_VIEW, 1) };
}

/** A stretch of time in percent of what is in view; null = out of sight. @param {number} from ms @param {number} to ms @param {Scale} over @param {Range} view */
export function stretch(from, to, over, view) {
  const width = view.to - view.from;
  const left = (over.at(from) - view.from) / width;
  const right = (over.at(to) - view.from) / width;
  if (right < 0 || left > 1) return null;
  const start = Math.max(0, left);
  return { left: start * 100, width: (Math.min(1, right) - start) * 100 };
}

/**
 * A span's bar: the waiting and the running part, each in percent of the view, null where out of sight.
 * @param {Span} span @param {Scale} over @param {Range} view
 */
export function bar(span, over, view) {
  const from = startOf(span);
  const to = endOf(span);
  const first = span.ttft_ms != null && span.duration_ms ? Math.min(to, from + Math.max(0, span.ttft_ms)) : from;
  return { wait: first > from ? stretch(from, first, over, view) : null, run: first < to || first === from ? stretch(first, to, over, view) : null };
}

/** Silences longer than a second between the pieces of a stream, in ms since its start. @param {[number, number][]} arrivals (offset, ms) @returns {Range[]} */
export function stalls(arrivals) {
  const found = [];
  for (let i = 1; i < arrivals.length; i += 1) {
    if (arrivals[i][1] - arrivals[i - 1][1] > STALL_MS) found.push({ from: arrivals[i - 1][1], to: arrivals[i][1] });
  }
  return found;
}

/** Ticks of the axis: places in percent of the view and the ms since the start they stand for. @param {Box} box @param {Scale} over @param {Range} view @param {number} [most] */
export function axis(box, over, view, most = 5) {
  const from = over.back(view.from);
  const to = over.back(view.to);
  const hidden = over.breaks.filter((gap) => gap.to > view.from && gap.from < view.to).reduce((sum, gap) => sum + gap.ms, 0);
  const raw = Math.max(1e-6, to - from - hidden) / most;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= raw * 0.999) ?? size * 10;
  const list = [];
  let last = -Infinity;
  const begin = Math.max(0, Math.ceil((from - box.start) / step - 1e-6));
  for (let i = begin; list.length < most * 3 && i < begin + 10_000; i += 1) {
    const ms = i * step;
    if (box.start + ms > to) break;
    const place = over.at(box.start + ms);
    if (over.breaks.some((gap) => place > gap.from && place < gap.to)) continue;
    const percent = ((place - view.from) / (view.to - view.from)) * 100;
    if (percent > 92 || percent - last < 72 / most) continue;
    last = percent;
    list.push({ percent, ms, step });
  }
  return list;
}

/**
 * What the end of the trace waited for: per span the stretches of time that no other could shorten.
 * From the end backwards: the child that finished last, then the one before it began, and so on.
 * @param {Span[]} roots @returns {Map<string, Range[]>}
 */
export function criticalPath(roots) {
  /** @type {Map<string, Range[]>} */
  const path = new Map();
  const add = (/** @type {Span} */ span, /** @type {number} */ from, /** @type {number} */ to) => {
    if (to <= from) return;
    const list = path.get(span.id);
    if (list) list.push({ from, to });
    else path.set(span.id, [{ from, to }]);
  };
  const last = roots.reduce((/** @type {Span|null} */ best, root) => (!best || endOf(root) > endOf(best) ? root : best), null);
  const waiting = last ? [{ span: last, until: endOf(last) }] : [];
  const seen = new Set();
  while (waiting.length) {
    const { span, until } = /** @type {{span: Span, until: number}} */ (waiting.pop());
    if (seen.has(span)) continue;
    seen.add(span);
    const begin = startOf(span);
    let at = until;
    for (const child of [...(span.children ?? [])].sort((a, b) => endOf(b) - endOf(a))) {
      const end = endOf(child);
      const from = startOf(child);
      if (end > at || from >= at || from < begin) continue;
      add(span, end, at);
      waiting.push({ span: child, until: end });
      at = from;
    }
    add(span, begin, at);
  }
  return path;
}

/**
 * Own amount and that of the whole branch, per row, and the greatest branch.
 * @param {Row[]} rows all rows, unfolded @param {(span: Span) => number|null|undefined} of
 */
export function amounts(rows, of) {
  const own = rows.map((row) => (row.span.counts === false ? 0 : Math.max(0, of(row.span) ?? 0)));
  const branch = [...own];
  for (let i = rows.length - 1; i > 0; i -= 1) if (rows[i].parent >= 0) branch[rows[i].parent] += branch[i];
  /** @type {Map<string, {own: number, branch: number}>} */
  const byId = new Map(rows.map((row, i) => [row.span.id, { own: own[i], branch: branch[i] }]));
  return { byId, most: branch.reduce((most, value) => Math.max(most, value), 0) };
}
