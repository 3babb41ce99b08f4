// @ts-check
/** The line in which one looks for words in a trace: marks in the tree and in what is shown, previous and next. */
import { get } from "../feed/api.js";
import { count, plural } from "../lib/format.js";
import { spanMatches } from "../lib/search.js";
import { debounce, h, icon, iconButton, setText } from "./dom.js";
import { mountMarks } from "./marks.js";

const SETTLE_MS = 150;

/**
 * @param {HTMLElement} el @param {{root: HTMLElement, trace: () => string, spans: () => any[], waterfall: () => any, isTree: () => boolean, onChange: (text: string) => void}} options
 */
export function mountFind(el, options) {
  let text = "";
  let inPage = 0;
  let at = 0;
  let asking = new AbortController();
  /** @type {Set<string>} */
  let spans = new Set();
  const input = h("input", { type: "search", "aria-label": "Find in this trace", placeholder: "Find in this trace", oninput: () => typed(), onkeydown: onKey });
  const told = h("span", { class: "muted told", role: "status" });
  const bar = h("div", { class: "find", role: "search", hidden: true }, h("div", { class: "search" }, icon("search"), input), told,
    iconButton("prev", "Previous match (Shift+Enter)", () => step(-1), { class: "ghost small" }), iconButton("next", "Next match (Enter)", () => step(1), { class: "ghost small" }), iconButton("close", "Close the search (Esc)", () => close(), { class: "ghost small" }));
  el.append(bar);
  const marks = mountMarks(options.root, { onCount: (n) => { inPage = n; tell(); } });
  const typed = debounce(SETTLE_MS, () => set(input.value));

  /** @param {string} wanted @param {boolean} [isTold] */
  function set(wanted, isTold = true) {
    if (wanted.trim() === text) return;
    text = wanted.trim();
    at = 0;
    spans = new Set(text ? options.spans().filter((span) => spanMatches(span, text)).map((span) => span.id) : []);
    options.waterfall()?.mark(spans);
    marks.find(text);
    if (text) askServer();
    if (isTold) options.onChange(text);
  }

  /** Words deep in what was said are known to the server only. */
  async function askServer() {
    asking.abort();
    asking = new AbortController();
    if (options.spans().length < 2) return;
    const mine = text;
    try {
      const rows = await get("/api/traces", { trace_id: options.trace(), q: text, limit: 1000 }, asking.signal);
      if (mine !== text || !Array.isArray(rows)) return;
      for (const row of rows) spans.add(row.id);
      options.waterfall()?.mark(spans);
      tell();
    } catch { /* what the tree itself says must do */ }
  }

  function tell() {
    if (!text) return setText(told, "");
    const here = `${at ? `${count(at)} of ` : ""}${plural(inPage, "match", "matches")} here`;
    return setText(told, options.spans().length > 1 ? `${plural(spans.size, "span")} · ${here}` : here);
  }

  /** @param {number} by */
  function step(by) {
    if (input.value.trim() !== text) set(input.value);
    if (options.isTree() && spans.size && (!inPage || (by > 0 ? at >= inPage : at <= 1))) {
      at = 0;
      options.waterfall()?.stepFound(by);
    } else at = marks.step(by);
    tell();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function open() {
    bar.hidden = false;
    input.focus();
    input.select();
  }

  function close() {
    typed.cancel();
    input.value = "";
    set("");
    bar.hidden = true;
    /** @type {HTMLElement|null} */ (options.root.querySelector(".tree .row[tabindex='0']") ?? options.root).focus();
  }

  return {
    open,
    get isOpen() { return !bar.hidden; },
    /** What the address says. @param {string} wanted */
    show(wanted) {
      if (wanted === text) return;
      bar.hidden = !wanted;
      input.value = wanted;
      set(wanted, false);
    },
    /** The tree came or came again. */
    renew() { options.waterfall()?.mark(spans); },
    close,
    destroy() {
      typed.cancel();
      asking.abort();
      marks.destroy();
    },
  };
}
