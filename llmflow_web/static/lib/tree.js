// @ts-check
/** Spans → rows of a tree. Pure; iterative, since traces may be deep. What lies beside the tree is in waterfall.js. */

/**
 * @typedef {{id: string, parent_id?: string|null, children?: Span[], timestamp?: number, start_ns?: string,
 *   duration_ms?: number|null, ttft_ms?: number|null, status?: number|null, error?: string|null, [key: string]: any}} Span
 * @typedef {{span: Span, depth: number, children: number, position: number, siblings: number, parent: number}} Row
 */

/** A waterfall of 10,000 spans asks for each start a dozen times. @type {WeakMap<Span, number>} */
const starts = new WeakMap();

/** Start in ms, with the fraction when nanoseconds are known. @param {Span} span */
export function startOf(span) {
  if (!span.start_ns) return span.timestamp ?? 0;
  let start = starts.get(span);
  if (start === undefined) {
    const cut = span.start_ns.length - 6;
    start = /^\d{7,}$/.test(span.start_ns) ? Number(span.start_ns.slice(0, cut)) + Number(span.start_ns.slice(cut)) / 1e6 : (span.timestamp ?? 0);
    starts.set(span, start);
  }
  return start;
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

/**
 * An application's own span of a call that went through our proxy too is shown as that call, in its place in the tree.
 * The call carries the other as `twin`. What was not joined, or joined to a call elsewhere, stays as it is.
 * @param {Span[]} roots @param {Row[]} [known] its rows, where they are known @returns {Span[]}
 */
export function withTwins(roots, known = []) {
  const rows = known.length ? known : flatten(roots, new Set());
  if (!rows.some(({ span }) => span.joined_to)) return roots;
  const byId = new Map(rows.map((row) => [row.span.id, row.span]));
  /** @type {Map<Span, Span>} */
  const calls = new Map();
  rows.forEach(({ span }, at) => {
    const call = span.joined_to ? byId.get(joinedId(span)) : undefined;
    if (call && !call.joined_to && !isWithin(rows, at, call)) calls.set(span, call);
  });
  if (!calls.size) return roots;
  const moved = new Set(calls.values());
  /** @type {Map<Span, Span>} */
  const made = new Map();
  const shown = (/** @type {Span} */ span) => /** @type {Span} */ (made.get(calls.get(span) ?? span));
  for (const { span } of rows) if (!calls.has(span)) made.set(span, { ...span, children: [] });
  for (const [span, call] of calls) /** @type {Span} */ (made.get(call)).twin = span;
  const list = [];
  const placed = new Set();
  for (const row of rows) {
    const node = shown(row.span);
    if (moved.has(row.span) || placed.has(node)) continue; // it comes where its twin stands
    placed.add(node);
    if (row.parent < 0) list.push(node);
    else shown(rows[row.parent].span).children?.push(node);
  }
  return list;
}

/** @param {Row[]} rows @param {number} at @param {Span} span whether the row is this span or lies under it */
function isWithin(rows, at, span) {
  for (let i = at; i >= 0; i = rows[i].parent) if (rows[i].span === span) return true;
  return false;
}

/** The id of the call a span was joined to. @param {Span} span */
export function joinedId(span) {
  return String(span.joined_to).split("/").pop() ?? "";
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
