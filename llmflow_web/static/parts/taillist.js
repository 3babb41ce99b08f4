// @ts-check
/** A list of the newest beside the detail of one of them, with filters in the address: what logs and the timeline share. */
import { Tail } from "../feed/tail.js";
import { count, plural } from "../lib/format.js";
import { addressWith } from "../lib/links.js";
import { announce, debounce, failure, h, icon, iconButton, notice, put, setText, stylesheet } from "./dom.js";
import { mountGrid } from "./grid.js";
import { use } from "./keys.js";
import { choice, listening } from "./page.js";
import { mountSplit } from "./split.js";

const NEAR = 30; // rows from the end at which more are asked for

/**
 * @typedef {{title: string, path: string, placeholder: string, columns: import("./grid.js").Column[], keyOf: (row: any) => string, idOf: (row: any) => string,
 *   hears: {rows?: boolean, log?: boolean}, selects: (params: URLSearchParams) => [string, string, [string, string][]][], ask: (params: URLSearchParams, page: any, signal: AbortSignal) => Promise<import("../feed/tail.js").Answer>,
 *   isError: (row: any) => boolean, one: string, many: string, empty: {title: string, text: string}, detail: (el: HTMLElement, id: string, signal: AbortSignal) => void, filters: string[]}} Options
 *   `selects`: parameter, label and choices; `filters`: the parameters that narrow the list
 */

/** @param {HTMLElement} el @param {import("../state.js").State} state @param {Options} options */
export function mountTailList(el, state, options) {
  el.append(h("h1", { class: "sr" }, options.title));
  const split = mountSplit(el, { list: options.title, detail: "Selected" });
  const box = h("input", { type: "search", "aria-label": `Search ${options.title.toLowerCase()}`, placeholder: options.placeholder, autocomplete: "off", spellcheck: "false" });
  const selects = h("span", { class: "selects" });
  const told = h("span", { class: "muted", role: "status" });
  const clear = h("button", { type: "button", class: "more", hidden: true, onclick: clearAll }, "Clear");
  const note = h("p", { class: "hint", hidden: true });
  const area = h("div", { class: "list-area" });
  const fresh = h("button", { type: "button", class: "button primary new-rows", hidden: true, onclick: () => { tail.take(); grid.reset(); showAll(); grid.focus(); } });
  const message = h("div", { hidden: true });
  split.list.append(h("div", { class: "filters" }, h("label", { class: "search" }, icon("search"), box), selects, clear, told), note, area);
  let isPointed = false;
  let asked = /** @type {string|null} */ (null);
  let opened = "";
  let isByKey = false;
  let looking = new AbortController();
  const params = () => new URLSearchParams(state.route.search);
  const go = (/** @type {Record<string, string>} */ changes, isTyping = false) => state.go(addressWith(options.path, state.route.search, changes), { replace: isTyping });
  const typed = debounce(300, () => go({ q: box.value.trim() }, true));
  box.addEventListener("input", typed);
  const tail = new Tail({ ask: (page, signal) => options.ask(params(), page, signal), keyOf: options.keyOf, isStill: () => grid.place < 4 && !isPointed && !grid.hasFocus() });

  const grid = mountGrid(area, {
    label: options.title, name: "tail", columns: options.columns, keyOf: options.keyOf, count: () => tail.rows.length, isComplete: () => tail.isComplete,
    rowAt: (at) => tail.rows[at], indexOf: (key) => tail.places.get(key) ?? -1, reach: () => { tail.more(); }, onRange: (_, last) => { if (last > tail.rows.length - NEAR) tail.more(); },
    decorate: (node, row) => node.classList.toggle("is-error", options.isError(row)),
    open(row, byKey) {
      isByKey = byKey;
      go({ id: options.idOf(row) });
    },
  });
  area.append(fresh, message);
  area.addEventListener("pointerenter", () => { isPointed = true; });
  area.addEventListener("pointerleave", () => { isPointed = false; tail.takeIfStill(); });

  function clearAll() {
    box.value = "";
    go(Object.fromEntries(options.filters.map((name) => [name, ""])));
    box.focus();
  }

  const active = () => options.filters.filter((name) => params().get(name));

  function showAll() {
    const { rows, total, newCount } = tail;
    message.hidden = rows.length > 0;
    grid.el.hidden = !rows.length;
    if (!rows.length) {
      const n = active().length;
      put(message, n ? notice("Nothing matches", "", h("button", { type: "button", class: "button primary", onclick: clearAll }, `Clear filters (${n})`)) : notice(options.empty.title, options.empty.text, h("a", { class: "button primary", href: "/setup" }, "Setup")));
    }
    grid.update();
    note.hidden = !tail.note;
    setText(note, tail.note ?? "");
    const known = total ?? (tail.isComplete ? rows.length : null);
    setText(told, known == null ? `${count(rows.length)}+ ${options.many}` : plural(known, options.one, options.many));
    if (fresh.hidden && newCount) announce(`${newCount} new`);
    fresh.hidden = !newCount;
    setText(fresh, `${count(newCount)}${tail.isTorn ? "+" : ""} new`);
  }

  tail.addEventListener("change", showAll);
  tail.addEventListener("failed", (/** @type {any} */ event) => {
    grid.el.hidden = true;
    message.hidden = false;
    put(message, failure(event.detail.error, () => { tail.load(); }));
  });

  // ---- the detail
  /** @param {string} id */
  function showDetail(id) {
    if (id === opened) return;
    opened = id;
    looking.abort();
    looking = new AbortController();
    split.open(Boolean(id));
    const row = tail.rows.find((one) => options.idOf(one) === id);
    grid.select(row ? options.keyOf(row) : "");
    const head = h("div", { class: "detail-tools" }, iconButton("back", "Back to the list", close, { class: "ghost only-narrow" }), h("span", { class: "grow" }), iconButton("close", "Close (Esc)", close));
    const body = h("div", { class: "panel aside-body", tabindex: -1 });
    put(split.detail, id ? h("div", { class: "detail" }, head, body) : null);
    if (!id) return;
    options.detail(body, id, looking.signal);
    if (isByKey || !grid.el.checkVisibility()) body.focus();
    isByKey = false;
  }

  function close() {
    go({ id: "" });
    grid.focus();
  }

  if (options.hears.rows) state.live.subscribe({});
  if (options.hears.log) state.live.listen({ logs: true });
  const deaf = listening(state.live, { refresh: () => tail.renew(), ...(options.hears.rows ? { rows: () => tail.renew() } : {}), ...(options.hears.log ? { log: () => tail.renew() } : {}) });
  const onVisible = () => { if (!document.hidden) tail.renew(); };
  document.addEventListener("visibilitychange", onVisible);
  const keys = use({
    j: () => grid.move(1), k: () => grid.move(-1), "/": () => { box.focus(); box.select(); },
    Escape: () => {
      if (document.activeElement === box) grid.focus();
      else if (opened) close();
      else if (active().length) clearAll();
      else return false;
      return true;
    },
  });

  return {
    async update() {
      const now = params();
      if (document.activeElement !== box) box.value = now.get("q") ?? "";
      const focused = document.activeElement?.getAttribute("aria-label");
      put(selects, options.selects(now).map(([name, label, values]) => choice(label, values, now.get(name) ?? "", (value) => go({ [name]: value }))));
      if (focused && document.activeElement === document.body) /** @type {HTMLElement|null} */ (selects.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
      clear.hidden = !active().length;
      const question = options.filters.map((name) => now.get(name) ?? "").join("\n");
      await Promise.all(["/css/screens.css", "/css/trace.css"].map(stylesheet));
      if (question !== asked) {
        asked = question;
        grid.reset();
        await tail.load();
      }
      showDetail(params().get("id") ?? "");
    },
    reload: () => { tail.load(); },
    /** The choices have come, or changed. */
    refreshSelects() { this.update(); },
    unmount() {
      typed.cancel();
      deaf();
      keys();
      document.removeEventListener("visibilitychange", onVisible);
      state.live.subscribe(null);
      state.live.listen(null);
      looking.abort();
      tail.end();
      grid.destroy();
    },
  };
}
