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
    this.isBack = true; // this address was come back to, or opened: it may have a state of its own
    /** Traces that are selected, by id. @type {Map<string, any>} */
    this.chosen = new Map();
  }

  /** Go to an address of ours. @param {string} address @param {{replace?: boolean, quiet?: boolean}} [how] quiet: only the address bar changes */
  go(address, how = {}) {
    if (address !== location.pathname + location.search) history[how.replace ? "replaceState" : "pushState"](how.replace ? history.state : null, "", address);
    this.isBack = false;
    if (!how.quiet) this.dispatchEvent(new Event("route"));
  }

  setStats(stats) {
    this.stats = stats;
    this.dispatchEvent(new Event("stats"));
  }
}
