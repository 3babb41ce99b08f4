// @ts-check
/** What several parts of the screen share, handed down from app.js. Data goes down by events, actions go up by methods. */
import { Live } from "./feed/live.js";

/** @typedef {{path: string, search: string, params: Record<string, string>}} Route */

export class State extends EventTarget {
  constructor() {
    super();
    this.live = new Live();
    /** @type {Route} */
    this.route = { path: "", search: "", params: {} };
    this.stats = null;
    /** The rows the list shows now, for previous and next in a detail. @type {{next: (by: number) => void}|null} */
    this.list = null;
  }

  /** Go to an address of ours. @param {string} address @param {{replace?: boolean, quiet?: boolean}} [how] quiet: only the address bar changes */
  go(address, how = {}) {
    if (address !== location.pathname + location.search) history[how.replace ? "replaceState" : "pushState"](null, "", address);
    if (!how.quiet) this.dispatchEvent(new Event("route"));
  }

  setStats(stats) {
    this.stats = stats;
    this.dispatchEvent(new Event("stats"));
  }
}
