// @ts-check
/** Finding text in text, ignoring case. Pure. */

/**
 * Ranges of `needle` in `text`, at most `most`.
 * @param {string} text @param {string} needle @param {number} [most] @returns {[number, number][]}
 */
export function ranges(text, needle, most = 500) {
  const wanted = needle.trim().toLowerCase();
  if (!wanted) return [];
  const lower = text.toLowerCase();
  // a few letters change length in lower case ("İ"): then positions would lie, so look at the text as it is
  const hay = lower.length === text.length ? lower : text;
  /** @type {[number, number][]} */
  const found = [];
  for (let at = hay.indexOf(wanted); at >= 0 && found.length < most; at = hay.indexOf(wanted, at + wanted.length)) {
    found.push([at, at + wanted.length]);
  }
  return found;
}

/**
 * `text` cut at the matches: plain and marked pieces in turn.
 * @param {string} text @param {string} needle @returns {{text: string, hit: boolean}[]}
 */
export function pieces(text, needle) {
  const list = [];
  let at = 0;
  for (const [from, to] of ranges(text, needle)) {
    if (from > at) list.push({ text: text.slice(at, from), hit: false });
    list.push({ text: text.slice(from, to), hit: true });
    at = to;
  }
  if (at < text.length || !list.length) list.push({ text: text.slice(at), hit: false });
  return list;
}

/** Whether a span's own words hold the needle. @param {string} needle */
export function spanMatches(span, needle) {
  const wanted = needle.trim().toLowerCase();
  if (!wanted) return false;
  return [span.span_name, span.model, span.provider, span.span_type, span.error, span.preview_in, span.preview_out, span.id]
    .some((value) => typeof value === "string" && value.toLowerCase().includes(wanted));
}
