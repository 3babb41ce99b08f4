// @ts-check
/**
 * A screen that asks and shows: its head stays, what lies below is made anew with each answer. Loading, failure, reloading and
 * following what happens live are the same everywhere; focus and place survive when the same screen is shown again.
 */
import { failure, h, put, stylesheet } from "./dom.js";

const RENEW_MS = 5000; // a screen that follows what comes live is made anew at most this often,
const RENEW_SHARE = 10; // and where its figures take long, a tenth of the time

/**
 * @param {HTMLElement} el
 * @param {{head: any[], ask: (signal: AbortSignal) => Promise<any>, show: (body: HTMLElement, answer: any) => void, cls?: string, styles?: string[]}} options
 */
export function mountScreen(el, { head, ask, show, cls = "", styles = [] }) {
  const body = h("div", { class: "page-body" });
  const page = h("div", { class: `screen page ${cls}`, "aria-busy": "true" }, h("header", { class: "page-head" }, head), body);
  el.append(page);
  let asking = new AbortController();
  let shown = "";
  let renewal = 0;
  let took = 0; // ms, for the last answer

  /** @param {boolean} [isQuiet] nothing changes unless the answer did, or when it fails */
  async function load(isQuiet = false) {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const begun = performance.now();
    if (!isQuiet) page.setAttribute("aria-busy", "true");
    try {
      const [answer] = await Promise.all([ask(signal), ...["/css/screens.css", ...styles].map(stylesheet)]);
      if (signal.aborted) return;
      took = performance.now() - begun;
      const text = JSON.stringify(answer);
      if (!isQuiet || text !== shown) keeping(() => { put(body); show(body, answer); });
      shown = text;
    } catch (error) {
      if (signal.aborted) return;
      if (!isQuiet) put(body, failure(error, () => load()));
      shown = "";
      if (!(/** @type {any} */ (error).status || error instanceof Error)) throw error;
    }
    page.removeAttribute("aria-busy");
  }

  /** @param {() => void} change */
  function keeping(change) {
    const place = page.scrollTop;
    const focused = document.activeElement instanceof HTMLElement && body.contains(document.activeElement) ? document.activeElement : null;
    const mark = focused && ["data-key", "href", "aria-label"].map((name) => [name, focused.getAttribute(name)]).find(([, value]) => value);
    change();
    page.scrollTop = place;
    if (mark) /** @type {HTMLElement|null} */ (body.querySelector(`[${mark[0]}="${CSS.escape(String(mark[1]))}"]`))?.focus({ preventScroll: true });
  }

  return {
    page, body,
    update: () => { load(); },
    reload: () => { load(); },
    /** Something has come that the screen shows. */
    renew() {
      if (document.hidden) return;
      renewal ||= window.setTimeout(() => { renewal = 0; if (!document.hidden) load(true); }, Math.max(RENEW_MS, took * RENEW_SHARE));
    },
    unmount() {
      asking.abort();
      clearTimeout(renewal);
    },
  };
}

/** Listen until the screen is left. @param {EventTarget} target @param {Record<string, (event: any) => void>} listeners @returns {() => void} */
export function listening(target, listeners) {
  for (const [name, run] of Object.entries(listeners)) target.addEventListener(name, run);
  return () => { for (const [name, run] of Object.entries(listeners)) target.removeEventListener(name, run); };
}

/** A choice of a few in one control. @param {string} label @param {[string, string][]} options value and words @param {string} chosen @param {(value: string) => void} onChoose */
export function choice(label, options, chosen, onChoose) {
  const known = options.some(([value]) => value === chosen) ? options : [...options, /** @type {[string, string]} */ ([chosen, chosen])];
  return h("select", { "aria-label": label, class: chosen ? "is-set" : null, onchange: (/** @type {any} */ event) => onChoose(event.target.value) }, known.map(([value, words]) => h("option", { value, selected: value === chosen }, words)));
}

/** @param {string} name @param {any} value @param {any} [more] */
export function card(name, value, more) {
  return h("div", { class: "card" }, h("dt", null, name), h("dd", null, value, more ? h("small", null, more) : null));
}
