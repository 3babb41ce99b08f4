// @ts-check
/** The rows of a long list: a live head, then pages that are asked for in any order and dropped again. Pure. */

export const PAGE = 100;
export const MAX_PAGES = 50;

/** @typedef {{id: string, trace_id?: string, [key: string]: any}} ListRow */
/** Before a page with no cursor (undefined) lies one that nobody has seen. @typedef {{cursor: string|null|undefined, rows: ListRow[]|null, size: number, used: number}} Page */

/** @param {ListRow} row */
export function keyOf(row) {
  return `${row.trace_id ?? ""}/${row.id}`;
}

export class Pages {
  constructor() {
    /** @type {ListRow[]} */
    this.head = [];
    /** @type {Page[]} */
    this.pages = [];
    this.isComplete = false;
    /** @type {Map<string, ListRow>} */
    this.known = new Map();
    this.clock = 0;
    /** Index of the first row of each page, and behind the last. @type {number[]|null} */
    this.starts = null;
  }

  get length() {
    const starts = this.#starts();
    return starts[starts.length - 1];
  }

  /** Put the rows of a page where it lies. @param {number} index @param {ListRow[]} rows @param {string|null} next cursor of the page after it */
  fill(index, rows, next) {
    while (this.pages.length <= index) this.#add(this.pages.length ? undefined : null, PAGE);
    const fresh = this.#onlyNew(index, rows);
    const page = this.pages[index];
    Object.assign(page, { rows: fresh, size: fresh.length, used: (this.clock += 1) });
    for (const row of fresh) this.known.set(keyOf(row), row);
    if (next !== null) this.#leadOn(index, next);
    else if (fresh.length || index === 0 || this.pages[index - 1].rows) this.#endAt(index);
    else this.#forgetGuesses();
    this.starts = null;
    this.#evict();
  }

  /** @param {number} index @param {ListRow[]} rows */
  #onlyNew(index, rows) {
    for (const row of this.pages[index].rows ?? []) this.known.delete(keyOf(row));
    return rows.filter((row) => !this.known.has(keyOf(row)));
  }

  /** @param {number} index @param {string} next */
  #leadOn(index, next) {
    const after = this.pages[index + 1];
    if (after) after.cursor ??= next;
    else if (!this.isComplete) this.#add(next, PAGE);
  }

  /** @param {number} index */
  #endAt(index) {
    for (const page of this.pages.splice(index + 1)) for (const row of page.rows ?? []) this.known.delete(keyOf(row));
    this.isComplete = true;
  }

  /** There was nothing where we thought a page to be: keep those that were seen. */
  #forgetGuesses() {
    let last = this.pages.length - 1;
    while (last > 0 && !this.pages[last].rows?.length && this.pages[last].cursor === undefined) last -= 1;
    this.pages.splice(last + 1);
  }

  /** @param {string|null|undefined} cursor @param {number} size */
  #add(cursor, size) {
    this.pages.push({ cursor, rows: null, size, used: 0 });
    this.starts = null;
  }

  /** Somebody has counted: there are so many rows behind the head. @param {number} total */
  expect(total) {
    if (this.isComplete) return;
    let have = this.length - this.head.length;
    const last = this.pages[this.pages.length - 1];
    if (last && !last.rows && have > total && have - total < last.size) {
      last.size -= have - total;
      this.starts = null;
    }
    for (; have < total; have += PAGE) this.#add(this.pages.length ? undefined : null, Math.min(PAGE, total - have));
  }

  /** Where the end is not known, there is a place for this index. @param {number} index */
  reach(index) {
    if (index >= this.length) this.expect(Math.ceil((index + 1 - this.head.length) / PAGE) * PAGE);
  }

  /** @param {number} index @returns {ListRow|undefined} */
  at(index) {
    if (index < this.head.length) return this.head[index];
    const place = this.place(index);
    if (!place) return undefined;
    const page = this.pages[place.page];
    page.used = this.clock += 1;
    return page.rows?.[place.offset];
  }

  /** Which page holds this index. @param {number} index */
  place(index) {
    const starts = this.#starts();
    if (index < this.head.length || index >= starts[starts.length - 1]) return null;
    let low = 0;
    let high = this.pages.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return { page: low, offset: index - starts[low] };
  }

  /** How many rows the pages before this one have. @param {number} page */
  offset(page) {
    return this.#starts()[page] - this.head.length;
  }

  #starts() {
    if (this.starts) return this.starts;
    const starts = [this.head.length];
    for (const page of this.pages) starts.push(starts[starts.length - 1] + page.size);
    this.starts = starts;
    return starts;
  }

  /** Put a row that has just come in on top, or renew the one that is there. @param {ListRow} row @returns {"new"|"update"} */
  upsert(row) {
    const key = keyOf(row);
    const old = this.known.get(key);
    if (old) {
      for (const name of Object.keys(old)) if (!(name in row)) delete old[name]; // what says nothing is left out
      Object.assign(old, row);
      return "update";
    }
    // newest start first; calls end in another order than they start, so look a little way down
    let at = 0;
    while (at < this.head.length && at < 200 && (this.head[at].timestamp ?? 0) > (row.timestamp ?? 0)) at += 1;
    this.head.splice(at, 0, row);
    this.known.set(key, row);
    this.starts = null;
    return "new";
  }

  /** @param {string} key */
  remove(key) {
    if (!this.known.delete(key)) return false;
    this.starts = null;
    const inHead = this.head.findIndex((row) => keyOf(row) === key);
    if (inHead >= 0) this.head.splice(inHead, 1);
    for (const page of this.pages) {
      const at = page.rows ? page.rows.findIndex((row) => keyOf(row) === key) : -1;
      if (at >= 0 && page.rows) {
        page.rows.splice(at, 1);
        page.size -= 1;
      }
    }
    return true;
  }

  /** Index of a row that is loaded, or -1. @param {string} key */
  indexOf(key) {
    const row = this.known.get(key);
    if (!row) return -1;
    const inHead = this.head.indexOf(row);
    if (inHead >= 0) return inHead;
    const starts = this.#starts();
    for (let i = 0; i < this.pages.length; i += 1) {
      const at = this.pages[i].rows?.indexOf(row) ?? -1;
      if (at >= 0) return starts[i] + at;
    }
    return -1;
  }

  #evict() {
    const loaded = this.pages.filter((page) => page.rows);
    if (loaded.length <= MAX_PAGES) return;
    loaded.sort((a, b) => a.used - b.used);
    for (const page of loaded.slice(0, loaded.length - MAX_PAGES)) {
      for (const row of page.rows ?? []) this.known.delete(keyOf(row));
      page.rows = null;
    }
  }
}
