// @ts-check
/**
 * What happens now: one WebSocket, opened again with a growing pause, replaced by polling when it will not stand.
 * Events: "state", "rows" {op, rows} (op: new, update, delete, running, ended), "refresh" (ask again, something may have been missed), "stats", "log" and "metric" {rows, left_out}.
 */

const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 10_000;
const TRIES_BEFORE_POLLING = 2;

/** @typedef {"connecting"|"live"|"polling"|"paused"|"offline"} State */

export class Live extends EventTarget {
  /** @param {{WebSocket?: any, address?: string}} [given] */
  constructor(given = {}) {
    super();
    this.make = given.WebSocket ?? WebSocket;
    this.address = given.address ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    /** @type {State} */
    this.state = "connecting";
    this.isPaused = false;
    this.missed = 0; // rows that came while paused
    this.tries = 0;
    this.seq = -1; // the last change known of
    this.isSubscribed = false; // on this socket
    this.isHeld = false;
    this.retryAt = 0;
    /** @type {WebSocket|null} */
    this.socket = null;
    /** @type {Record<string, string>|null} */
    this.filter = null;
    /** What a screen wants to hear of beside traces. @type {{logs?: boolean, metrics?: boolean}|null} */
    this.others = null;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.poller = undefined;
  }

  start() {
    this.#connect();
    addEventListener("online", () => this.retry());
    addEventListener("pagehide", () => this.socket?.readyState === 1 && this.socket.close()); // one that is not open yet would complain
    addEventListener("pageshow", (event) => event.persisted && this.retry());
  }

  /**
   * What the list shows. Who still asks for the first rows says so, and then what these know of: what came in between is
   * asked for again.
   * @param {Record<string, string>|null} filter @param {boolean} [isAsking]
   */
  subscribe(filter, isAsking = false) {
    this.filter = filter;
    this.isHeld = isAsking && !this.isSubscribed;
    this.#send();
  }

  /** Log records and metric points too, until a screen says otherwise. @param {{logs?: boolean, metrics?: boolean}|null} others */
  listen(others) {
    this.others = others;
    this.#send();
  }

  /** The rows asked for are there. @param {number} change the last they know of */
  knows(change) {
    if (!this.isHeld) return;
    this.isHeld = false;
    this.seq = Math.max(this.seq, change);
    this.#send();
  }

  /** Stop or go on showing what comes. */
  toggle() {
    if (this.state === "offline") return this.retry();
    this.isPaused = !this.isPaused;
    this.missed = 0;
    this.#settle();
    if (!this.isPaused) this.#tell("refresh");
    return undefined;
  }

  /** Try again at once. */
  retry() {
    if (this.socket && this.socket.readyState < 2) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  #connect() {
    const socket = new this.make(this.address);
    this.socket = socket;
    this.isSubscribed = false;
    socket.onopen = () => {
      const isBack = this.tries > 0;
      this.tries = 0;
      clearTimeout(this.poller);
      this.poller = undefined;
      this.isPolling = false;
      this.#send();
      this.#settle();
      if (isBack) this.#tell("refresh");
    };
    socket.onmessage = (/** @type {MessageEvent} */ event) => this.#receive(event.data);
    socket.onclose = () => this.#lost(socket);
  }

  /** @param {WebSocket} socket */
  #lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.tries += 1;
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.tries - 1)) * (0.75 + Math.random() / 2);
    this.retryAt = Date.now() + pause;
    this.timer = setTimeout(() => this.#connect(), pause);
    if (this.tries >= TRIES_BEFORE_POLLING && !this.poller) this.#poll();
    this.#settle();
  }

  async #poll() {
    this.poller = setTimeout(() => {}, 0);
    try {
      (await import("./poll.js")).poll(this, (name, detail) => this.#tell(name, detail), () => this.#settle());
    } catch {
      this.poller = undefined; // nobody answers: the next attempt asks again
    }
  }

  #send() {
    if (this.socket?.readyState !== 1 || !(this.filter || this.others) || this.isHeld) return;
    this.isSubscribed = true;
    this.socket.send(JSON.stringify({ type: "subscribe", traces: this.filter !== null, filter: this.filter ?? {}, fields: "summary", ...this.others, ...(this.seq >= 0 ? { after: this.seq } : {}) }));
  }

  /** @param {string} data */
  #receive(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    const body = message.payload ?? message;
    switch (message.type) {
      case "trace":
        this.seq = Math.max(this.seq, message.seq ?? body.seq ?? 0);
        this.#rows(message.op ?? body.op, message.rows ?? body.rows ?? []);
        break;
      case "new_span":
        this.#tell("span", body);
        break;
      case "gap":
        this.#tell("refresh");
        break;
      case "stats_update":
        this.#tell("stats", body);
        break;
      case "budget":
        this.#tell("budget", body);
        break;
      case "log":
      case "metric":
        this.#others(message.type, message.rows, message.left_out);
        break;
      case "new_log":
      case "new_metric":
        this.#others(message.type.slice(4), [body], 0);
        break;
      default:
    }
  }

  /** @param {"new"|"update"|"delete"|"running"|"ended"} op */
  #rows(op, rows) {
    if (this.isPaused) {
      if (op === "new") this.missed += rows.length;
      this.#tell("state");
      return;
    }
    this.#tell("rows", { op, rows });
  }

  /** @param {"log"|"metric"} kind @param {any[]} rows @param {number} leftOut */
  #others(kind, rows, leftOut) {
    if (!this.isPaused) {
      this.#tell(kind, { rows, left_out: leftOut });
    } else if (this.others?.[`${kind}s`]) {
      this.missed += rows.length + leftOut;
      this.#tell("state");
    }
  }

  #settle() {
    const isOpen = this.socket?.readyState === 1;
    /** @type {State} */
    let state = "connecting";
    if (isOpen || this.isPolling) state = this.isPaused ? "paused" : isOpen ? "live" : "polling";
    else if (this.tries >= TRIES_BEFORE_POLLING) state = "offline";
    this.state = state;
    this.#tell("state");
  }

  /** @param {string} name */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
