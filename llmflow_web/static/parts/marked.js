// @ts-check
/** The traces marked for comparing, kept as long as the page's session. Told to whoever shows them by a "marked" event on the document. */

const KEY = "llmflow-marked";
const MOST = 2;

/** Trace ids, the oldest mark first. @returns {string[]} */
export function marked() {
  try {
    const list = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.map(String) : [];
  } catch {
    return [];
  }
}

/** @param {string} trace */
export function isMarked(trace) {
  return marked().includes(trace);
}

/** Set or take away a mark; a third mark takes the place of the first. @param {string} trace @param {boolean} isOn */
export function mark(trace, isOn) {
  const list = marked().filter((one) => one !== trace);
  if (isOn) list.push(trace);
  try {
    sessionStorage.setItem(KEY, JSON.stringify(list.slice(-MOST)));
  } catch { /* no storage: nothing can be marked */ }
  document.dispatchEvent(new CustomEvent("marked"));
}
