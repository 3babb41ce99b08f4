// @ts-check
/** Spans → rows of a tree, and the arithmetic of the waterfall beside it. Pure; iterative, since traces may be deep. */

/**
 * @typedef {{id: string, parent_id?: string|null, children?: Span[], timestamp?: number, start_ns?: string,
 *   duration_ms?: number|null, ttft_ms?: number|null, status?: number|null, error?: string|null, [key: string]: any}} Span
 * @typedef {{span: Span, depth: number, children: number, position: number, siblings: number, parent: number}} Row
 */

/** Start in ms, with the fraction when nanoseconds are known. @param {Span} span */
export function startOf(span) {
  if (span.start_ns && /^\d{7,}$/.test(span.start_ns)) {
    const cut = span.start_ns.length - 6;
    return Number(span.start_ns.slice(0, cut)) + Number(span.start_ns.slice(cut)) / 1e6;
  }
  return span.timestamp ?? 0;
}

/**
 * All rows of the tree in order, folded ones left out.
 * @param {Span[]} roots @param {ReadonlySet<string>} folded @returns {Row[]}
 */
export function flatten(roots, folded) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {{span: Span, depth: number, position: number, siblings: number, parent: number}[]} */
  const stack = [];
  push(stack, roots, 0, -1);
  const seen = new Set();
  while (stack.length) {
    const item = /** @type {NonNullable<ReturnType<typeof stack.pop>>} */ (stack.pop());
    if (seen.has(item.span)) continue;
    seen.add(item.span);
    const children = item.span.children ?? [];
    rows.push({ ...item, children: children.length });
    if (children.length && !folded.has(item.span.id)) push(stack, children, item.depth + 1, rows.length - 1);
  }
  return rows;
}

/** @param {Span[]} spans @param {number} depth @param {number} parent */
function push(stack, spans, depth, parent) {
  for (let i = spans.length - 1; i >= 0; i -= 1) {
    stack.push({ span: spans[i], depth, position: i + 1, siblings: spans.length, parent });
  }
}

/** Nest a flat list by parent_id; orphans become roots. @param {Span[]} spans @returns {Span[]} */
export function nest(spans) {
  const byId = new Map(spans.map((span) => [span.id, { ...span, children: /** @type {Span[]} */ ([]) }]));
  const roots = [];
  for (const span of byId.values()) {
    const parent = span.parent_id ? byId.get(span.parent_id) : undefined;
    if (parent && parent !== span) parent.children.push(span);
    else roots.push(span);
  }
  return roots;
}

/** @param {Span[]} roots @returns {{start: number, end: number}} */
export function bounds(roots) {
  let start = Infinity;
  let end = -Infinity;
  for (const { span } of flatten(roots, new Set())) {
    const from = startOf(span);
    start = Math.min(start, from);
    end = Math.max(end, from + (span.duration_ms ?? 0));
  }
  return Number.isFinite(start) ? { start, end: Math.max(end, start + 0.001) } : { start: 0, end: 1 };
}

/**
 * Where a span's bar lies, in percent of the box; `wait` is the share of the bar before the first token.
 * @param {Span} span @param {{start: number, end: number}} box
 */
export function bar(span, box) {
  const length = box.end - box.start;
  const left = clamp(((startOf(span) - box.start) / length) * 100, 0, 100);
  const width = clamp(((span.duration_ms ?? 0) / length) * 100, 0, 100 - left);
  const wait = span.ttft_ms != null && span.duration_ms ? clamp(span.ttft_ms / span.duration_ms, 0, 1) : null;
  return { left, width, wait };
}

/** @param {number} value @param {number} low @param {number} high */
function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** Round tick values for an axis of `length` ms. @param {number} length @param {number} [most] */
export function ticks(length, most = 5) {
  if (!(length > 0)) return [0];
  const raw = length / most;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= raw * 0.999) ?? size * 10;
  const list = [];
  for (let i = 0; i * step <= length * 0.999; i += 1) list.push(i * step);
  return list;
}

/** @param {Span[]} roots */
export function countSpans(roots) {
  return flatten(roots, new Set()).length;
}

/** Ids of every span that has children. @param {Span[]} roots */
export function foldable(roots) {
  return flatten(roots, new Set()).filter((row) => row.children).map((row) => row.span.id);
}

/** Next (or previous, by = -1) row from `at` that `wanted` accepts, going round. @param {Row[]} rows @param {number} at @param {number} by @param {(span: Span) => boolean} wanted */
export function nextRow(rows, at, by, wanted) {
  for (let step = 1; step <= rows.length; step += 1) {
    const index = (((at + by * step) % rows.length) + rows.length) % rows.length;
    if (wanted(rows[index].span)) return index;
  }
  return -1;
}
