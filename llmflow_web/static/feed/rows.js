// @ts-check
/**
 * The rows of a list: asked for page by page, mended by what comes live. New rows wait until the view says that the list is
 * still. Events: "change" {isLive} (show again), "loaded" {note}, "failed" {error}.
 */
import { toApi } from "../lib/filter.js";
import { PAGE, Pages } from "../lib/pages.js";
import { isAbort, list } from "./api.js";

const COMMIT_MS = 250; // at most four commits to the page a second, however fast rows come
const MAX_HEAD = 1000;
const MAX_SORTED = 10_000; // how many rows the server sorts by a number

/** @typedef {import("../lib/filter.js").Filter} Filter */

export class Rows extends EventTarget {
  /** @param {import("./live.js").Live} live @param {{isStill: () => boolean}} view */
  constructor(live, view) {
    super();
    this.live = live;
    this.view = view;
    this.pages = new Pages();
    this.isLoaded = false;
    /** Rows that came while the list must not move. @type {Map<string, any>} */
    this.waiting = new Map();
    this.uncounted = 0; // new rows that were too many to keep
    /** @type {Filter|null} */
    this.filter = null;
    this.asking = new AbortController();
    this.hasMissed = false; // something came while the first page was asked for
    /** What was there when something may have been missed, until the list is mended. @type {Set<string>|null} */
    this.before = null;
    /** @type {Set<number>} */
    this.loading = new Set();
    /** @type {{op: string, row: any}[]} */
    this.queue = [];
    this.commit = 0;
    this.newest = /** @type {number|undefined} */ (undefined); // start of the first row when the list began
    const onRows = (/** @type {any} */ event) => this.#enqueue(event.detail.op, event.detail.rows);
    const onRefresh = () => this.refresh();
    live.addEventListener("rows", onRows);
    live.addEventListener("refresh", onRefresh);
    this.end = () => {
      live.removeEventListener("rows", onRows);
      live.removeEventListener("refresh", onRefresh);
      live.subscribe(null);
      this.asking.abort();
      clearTimeout(this.commit);
    };
  }

  get newCount() {
    return this.waiting.size + this.uncounted;
  }

  /** What is asked of the list, the histogram and exports alike. */
  query() {
    return { roots: "1", joined: "0", ...(this.filter ? toApi(this.filter) : {}) };
  }

  /** Begin anew. @param {Filter} filter */
  async load(filter) {
    this.filter = filter;
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.hasMissed = false;
    this.live.subscribe(filter.sort ? null : toApi(filter), true); // children too: they change their root's sums
    this.loading.clear();
    try {
      const first = await this.#first(signal);
      this.pages = new Pages();
      this.#take(first);
      this.waiting.clear();
      this.uncounted = 0;
      this.before = null;
      this.isLoaded = true;
      this.live.knows(first.change);
      if (this.hasMissed) this.refresh();
      this.#tell("loaded", { note: first.note });
    } catch (error) {
      if (!isAbort(error)) this.#tell("failed", { error });
    }
  }

  /** @param {AbortSignal} signal */
  async #first(signal) {
    const first = await list({ roots: 1, joined: 0, running: this.filter?.sort ? "" : 1, limit: PAGE, fields: "summary", ...toApi(/** @type {Filter} */ (this.filter)) }, signal);
    for (const row of first.rows) row.seen = Date.now();
    return first;
  }

  /** Calls that run stand in the head. @param {{rows: any[], next: string|null}} first */
  #take(first) {
    const done = first.rows.filter((row) => !row.running);
    this.newest = done[0]?.timestamp;
    this.pages.fill(0, done, first.next);
    for (const row of first.rows) if (row.running) this.pages.upsert(row);
  }

  /** Something may have been missed: ask for the first page again and mend the list. */
  async refresh() {
    if (!this.filter) return;
    if (!this.isLoaded) {
      this.load(this.filter);
      return;
    }
    this.before ??= new Set([...this.pages.known.keys(), ...this.waiting.keys()]);
    try {
      const first = await this.#first(this.asking.signal);
      const { mend } = await import("./mend.js");
      if (!this.filter.sort) this.#enqueue("new", mend(this, first));
      this.before = null;
    } catch { /* the live button says that nobody answers */ }
  }

  /** Somebody counted the matches. @param {number} total */
  expect(total) {
    const inHead = this.pages.head.filter((row) => !row.running).length;
    this.pages.expect(Math.min(total - inHead, this.filter?.sort ? MAX_SORTED : Infinity));
    this.#tell("change");
  }

  /** These rows are looked at: see that they come. @param {number} first @param {number} last */
  want(first, last) {
    if (!this.isLoaded) return;
    const ahead = Math.min(this.pages.length, last + 30);
    for (const index of new Set([first, last - 1, ahead - 1])) {
      const place = this.pages.place(index);
      if (place && !this.pages.pages[place.page].rows) this.#fetch(place.page);
    }
  }

  /** @param {number} index */
  async #fetch(index) {
    if (this.loading.has(index)) return;
    this.loading.add(index);
    const { pages } = this;
    try {
      const page = await list({ roots: 1, joined: 0, limit: PAGE, fields: "summary", ...toApi(/** @type {Filter} */ (this.filter)), ...this.#whereIs(index) }, this.asking.signal);
      if (pages !== this.pages) return;
      pages.fill(index, page.rows, page.next);
      this.loading.delete(index);
      requestAnimationFrame(() => this.#tell("change"));
    } catch { /* whoever looks there again asks again */ } finally {
      if (pages === this.pages) this.loading.delete(index);
    }
  }

  /** By its cursor; a page that was jumped to, by its distance from the first row as it was then. @param {number} index */
  #whereIs(index) {
    const { cursor } = this.pages.pages[index];
    if (cursor !== undefined) return { cursor };
    const isOwn = this.filter?.sort || this.filter?.to || this.newest === undefined;
    return { offset: this.pages.offset(index), ...(isOwn ? {} : { date_to: /** @type {number} */ (this.newest) + 1 }) };
  }

  // ---- live
  /** @param {string} op @param {any[]} rows */
  #enqueue(op, rows) {
    this.hasMissed = true;
    const seen = Date.now();
    for (const row of rows) this.queue.push({ op, row: Object.assign(row, { seen }) });
    this.commit ||= window.setTimeout(() => this.#work(), COMMIT_MS);
  }

  async #work() {
    const { takeIn } = await import("./mend.js");
    this.commit = 0;
    const todo = this.queue;
    this.queue = [];
    if (!this.isLoaded) return; // the first answer will have it, or is asked for again
    takeIn(this, todo);
    this.takeIfStill();
    this.#tell("change", { isLive: true });
  }

  takeIfStill() {
    if (this.newCount && this.view.isStill()) this.takeWaiting();
  }

  /** Put the rows that wait on top. */
  takeWaiting() {
    if (this.uncounted || this.pages.head.length > MAX_HEAD) {
      this.load(/** @type {Filter} */ (this.filter));
      return;
    }
    for (const row of [...this.waiting.values()].sort((a, b) => a.timestamp - b.timestamp)) this.pages.upsert(row);
    this.waiting.clear();
  }

  /** @param {string} name @param {any} [detail] */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
