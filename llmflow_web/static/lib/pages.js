// @ts-check
/**
 * The rows of a long list: a live head, then keyset pages that can be dropped and asked for again. Pure.
 * Index 0 is the first row of the head. Memory stays flat: only MAX_PAGES pages keep their rows.
 */

export const MAX_PAGES = 50;
const MAX_HEAD = 5000;

/** @typedef {{id: string, trace_id?: string, [key: string]: any}} ListRow */
/** @typedef {{cursor: string|null, rows: ListRow[]|null, size: number, used: number}} Page */

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
    /** @type {string|null} */
    this.next = null;
    this.isComplete = false;
    /** @type {Map<string, ListRow>} */
    this.known = new Map();
    this.clock = 0;
  }

  get length() {
    return this.head.length + this.pages.reduce((sum, page) => sum + page.size, 0);
  }

  /** Add the page after the last one. @param {ListRow[]} rows @param {string|null} cursor it was asked with @param {string|null} next */
  append(rows, cursor, next) {
    const fresh = rows.filter((row) => !this.known.has(keyOf(row)));
    this.pages.push({ cursor, rows: fresh, size: fresh.length, used: (this.clock += 1) });
    for (const row of fresh) this.known.set(keyOf(row), row);
    this.next = next;
    this.isComplete = next === null;
    this.#evict();
  }

  /** Fill a page that had been dropped. @param {number} index @param {ListRow[]} rows */
  refill(index, rows) {
    const page = this.pages[index];
    // rows may have gone since (retention): the page keeps its size, so that nothing jumps
    page.rows = rows.slice(0, page.size);
    page.used = this.clock += 1;
    for (const row of page.rows) this.known.set(keyOf(row), row);
    this.#evict();
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
    let offset = index - this.head.length;
    for (let page = 0; page < this.pages.length; page += 1) {
      if (offset < this.pages[page].size) return { page, offset };
      offset -= this.pages[page].size;
    }
    return null;
  }

  /** Put a row that has just come in on top, or renew the one that is there. @param {ListRow} row @returns {"new"|"update"} */
  upsert(row) {
    const key = keyOf(row);
    const old = this.known.get(key);
    if (old) {
      Object.assign(old, row);
      return "update";
    }
    // newest start first; calls end in another order than they start, so look a little way down
    let at = 0;
    while (at < this.head.length && at < 200 && (this.head[at].timestamp ?? 0) > (row.timestamp ?? 0)) at += 1;
    this.head.splice(at, 0, row);
    this.known.set(key, row);
    if (this.head.length > MAX_HEAD) {
      for (const gone of this.head.splice(MAX_HEAD)) this.known.delete(keyOf(gone));
    }
    return "new";
  }

  /** @param {string} key */
  remove(key) {
    if (!this.known.delete(key)) return false;
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
    if (!this.known.has(key)) return -1;
    const inHead = this.head.findIndex((row) => keyOf(row) === key);
    if (inHead >= 0) return inHead;
    let base = this.head.length;
    for (const page of this.pages) {
      const at = page.rows ? page.rows.findIndex((row) => keyOf(row) === key) : -1;
      if (at >= 0) return base + at;
      base += page.size;
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
