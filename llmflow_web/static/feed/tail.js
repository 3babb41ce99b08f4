// @ts-check
/**
 * A list of the newest first that grows at both ends: older rows are asked for as one comes near them, newer ones come live and
 * wait while the list is looked at. Events: "change" (show again), "failed" {error}.
 */
import { isAbort } from "./api.js";

const PAGE = 100;
const MOST = 5000; // rows kept; who looks for more has to filter
const RENEW_MS = 1000;

/**
 * @typedef {{rows: any[], total?: number|null, note?: string|null}} Answer
 * @typedef {{ask: (page: {limit: number, date_to?: number}, signal: AbortSignal) => Promise<Answer>, keyOf: (row: any) => string, isStill: () => boolean}} Options
 */
export class Tail extends EventTarget {
  /** @param {Options} options */
  constructor(options) {
    super();
    this.options = options;
    this.#empty();
    this.asking = new AbortController();
    this.timer = 0;
    this.isLoaded = false;
  }

  #empty() {
    /** @type {any[]} */
    this.rows = [];
    /** @type {Map<string, number>} where each row is */
    this.places = new Map();
    /** @type {any[]} */
    this.waiting = [];
    this.isComplete = false;
    this.isTorn = false; // more has come than was asked for: taking it means to begin anew
    this.total = /** @type {number|null} */ (null);
    this.note = /** @type {string|null} */ (null);
    this.isAsking = false;
  }

  get newCount() {
    return this.waiting.length;
  }

  /** Begin anew; what is shown stays until the answer is there. */
  async load() {
    this.asking.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const answer = await this.options.ask({ limit: PAGE }, signal);
      if (signal.aborted) return;
      this.#empty();
      this.#append(answer);
      this.isLoaded = true;
      this.#tell("change");
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) this.#tell("failed", { error });
    }
  }

  /** @param {Answer} answer @param {number} [asked] */
  #append({ rows, total, note }, asked = PAGE) {
    for (const row of rows) {
      const key = this.options.keyOf(row);
      if (this.places.has(key)) continue;
      this.places.set(key, this.rows.length);
      this.rows.push(row);
    }
    this.isComplete = rows.length < asked || this.rows.length >= MOST;
    this.total = total ?? this.total;
    this.note = note ?? this.note;
  }

  /** Older rows: from where the last one was, whose moment it may share with others. */
  async more() {
    const last = this.rows.at(-1);
    if (this.isComplete || this.isAsking || !last) return;
    this.isAsking = true;
    const { signal } = this.asking;
    try {
      const before = this.rows.length;
      for (const limit of [PAGE, PAGE * 10]) {
        const answer = await this.options.ask({ limit, date_to: last.timestamp }, signal);
        if (signal.aborted) return;
        this.#append({ rows: answer.rows }, limit);
        if (this.rows.length > before) break;
      }
      if (this.rows.length === before) this.isComplete = true; // a thousand of one moment
      this.#tell("change");
    } catch { /* who comes near again asks again */ } finally {
      if (!signal.aborted) this.isAsking = false;
    }
  }

  /** Something has come: ask what, at most once a second. */
  renew() {
    if (document.hidden || !this.isLoaded) return;
    this.timer ||= window.setTimeout(() => { this.timer = 0; this.#renew(); }, RENEW_MS);
  }

  async #renew() {
    const { signal } = this.asking;
    try {
      const { rows, total } = await this.options.ask({ limit: PAGE }, signal);
      if (signal.aborted) return;
      const fresh = rows.filter((row) => !this.#mend(row));
      this.isTorn = fresh.length === rows.length && rows.length === PAGE;
      this.total = total ?? this.total;
      this.waiting = fresh;
      this.takeIfStill();
      this.#tell("change");
    } catch { /* the live button says that nobody answers */ }
  }

  /** A row that is there already may have changed. @returns {boolean} whether it is there */
  #mend(row) {
    const at = this.places.get(this.options.keyOf(row));
    if (at === undefined) return false;
    this.rows[at] = row;
    return true;
  }

  takeIfStill() {
    if (this.newCount && this.options.isStill()) this.take();
  }

  /** Put what waits on top. */
  take() {
    if (this.isTorn) {
      this.load();
      return;
    }
    this.rows = [...this.waiting, ...this.rows].sort((a, b) => b.timestamp - a.timestamp);
    this.waiting = [];
    this.places = new Map(this.rows.map((row, at) => [this.options.keyOf(row), at]));
    this.#tell("change");
  }

  end() {
    this.asking.abort();
    clearTimeout(this.timer);
    this.timer = 0;
  }

  /** @param {string} name @param {any} [detail] */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
