// @ts-check
/** Which traces are selected. Two of them are the ones to compare, in the list and in the detail alike. */
import { mark, marked } from "./marked.js";

/**
 * @param {HTMLElement} bar where what can be done with them is shown
 * @param {Map<string, any>} chosen rows by trace id; it outlives the screen
 * @param {{onChange: () => void, compare: (a: string, b: string) => void, removed: (ids: string[]) => void, hint: (text: string) => void}} given
 */
export function mountChoice(bar, chosen, given) {
  let before = /** @type {string[]} */ ([]);
  let isOurs = false;

  /** @param {any[]} rows @param {boolean} isOn */
  function set(rows, isOn) {
    isOurs = true;
    for (const row of rows) {
      if (row.running || isOn === chosen.has(row.trace_id)) continue; // what still runs cannot be taken away
      if (isOn) chosen.set(row.trace_id, row);
      else chosen.delete(row.trace_id);
      mark(row.trace_id, isOn);
    }
    isOurs = false;
    before = marked();
    changed();
  }

  /** Marked or unmarked in the detail. */
  function onMarked() {
    if (isOurs) return;
    const now = marked();
    for (const id of before) if (!now.includes(id)) chosen.delete(id);
    for (const id of now) if (!chosen.has(id)) chosen.set(id, { trace_id: id, id });
    before = now;
    changed();
  }

  async function changed() {
    given.onChange();
    bar.hidden = !chosen.size;
    if (!chosen.size) return;
    const { showSelection } = await import("./selection.js");
    showSelection(bar, chosen, { compare: () => compare(), remove: () => remove(), clear });
  }

  function clear() {
    set([...chosen.values()], false);
  }

  /** The two that are selected, or the one that is and this row. @param {any} [row] */
  function compare(row) {
    const ids = [...chosen.keys()];
    if (ids.length === 1 && row && row.trace_id !== ids[0]) ids.push(row.trace_id);
    if (ids.length === 2) given.compare(ids[0], ids[1]);
    else given.hint(ids.length > 2 ? "Two traces can be compared, not more." : "Select two traces with x, then press c.");
  }

  /** @param {any} [row] deleted when nothing is selected */
  async function remove(row) {
    const rows = chosen.size ? [...chosen.values()] : row && !row.running ? [row] : [];
    if (!rows.length) return;
    const { confirmDelete } = await import("./selection.js");
    confirmDelete(rows, (ids) => {
      set(rows, false);
      given.removed(ids);
    });
  }

  document.addEventListener("marked", onMarked);
  if (marked().length) onMarked();
  else if (chosen.size) changed();
  return {
    set, clear, compare, remove,
    has: (/** @type {any} */ row) => chosen.has(row.trace_id),
    get size() { return chosen.size; },
    destroy: () => document.removeEventListener("marked", onMarked),
  };
}
