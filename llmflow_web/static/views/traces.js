// @ts-check
/** The start screen: filter bar, calls over time, the live list, and beside it the trace that was opened. */
import { get, isAbort, list } from "../feed/api.js";
import { empty, fromSearch, isActive, toApi, toSearch } from "../lib/filter.js";
import { count, plural } from "../lib/format.js";
import { Pages, keyOf } from "../lib/pages.js";
import { COLUMNS } from "../parts/columns.js";
import { announce, failure, h, notice, put, setText } from "../parts/dom.js";
import { mountFilterBar } from "../parts/filterbar.js";
import { mountGrid } from "../parts/grid.js";
import { mountHistogram } from "../parts/histogram.js";
import { use } from "../parts/keys.js";
import { mountSplit } from "../parts/split.js";

const PAGE = 100;
const COMMIT_MS = 250; // at most four commits to the page a second, however fast rows come

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  el.append(h("h1", { class: "sr" }, "Traces"));
  const split = mountSplit(el, { list: "Traces", detail: "Trace" });
  const bar = mountFilterBar(split.list, { onChange: changed });
  const strip = mountHistogram(split.list, { onRange: (from, to) => changed({ ...filter, since: "", from: String(from), to: String(to) }, false) });
  const area = h("div", { class: "list-area" });
  const fresh = h("button", { type: "button", class: "button primary new-rows", hidden: true, onclick: takeWaiting });
  const message = h("div", { hidden: true });
  const note = h("p", { class: "hint", role: "status", hidden: true }); // what of the search the server could not read
  split.list.append(note, area);
  let filter = empty();
  let pages = new Pages();
  let isLoaded = false;
  let hasMissed = false; // rows came while the list was being asked for
  let asking = new AbortController();
  /** Rows that came while the list must not move. @type {Map<string, any>} */
  const waiting = new Map();
  let queue = [];
  let commit = 0;
  let isPointed = false;
  const loading = new Set();
  const grid = mountGrid(area, {
    label: "Traces", name: "traces", columns: COLUMNS, keyOf, count: () => pages.length, isComplete: () => pages.isComplete,
    rowAt: (i) => pages.at(i), hrefOf: addressOf, open: (row) => state.go(addressOf(row)), onRange: fetchRange,
    decorate: (node, row) => node.classList.toggle("is-error", (row.status ?? 0) >= 400),
    onSort: (sort) => changed({ ...filter, sort: sort === "-time" ? "" : sort }, false),
  });
  area.append(fresh, message);
  /** @type {Promise<any>|undefined} */
  let coming;
  let detail = null;
  const close = () => state.go(`/traces${toSearch(filter)}`);
  /** The detail's modules are fetched when someone comes near the list: the first screen does without. */
  const bring = () => { coming ??= import("./trace.js").then((module) => { detail = module.mountTrace(split.detail, state, { close, step }); }); return coming; };
  area.addEventListener("pointerenter", () => { isPointed = true; bring(); });
  area.addEventListener("focusin", bring);
  area.addEventListener("pointerleave", () => { isPointed = false; takeIfStill(); });
  grid.el.addEventListener("focusout", () => setTimeout(takeIfStill));

  function addressOf(row) {
    const query = new URLSearchParams(toSearch(filter));
    if ((row.span_count ?? 1) > 1 && row.parent_id) query.set("span", row.id);
    const text = query.toString();
    return `/traces/${encodeURIComponent(row.trace_id ?? row.id)}${text ? `?${text}` : ""}`;
  }

  /** @param {typeof filter} next @param {boolean} isTyping */
  function changed(next, isTyping) {
    const path = state.route.params.trace ? `/traces/${encodeURIComponent(state.route.params.trace)}` : "/traces";
    state.go(path + toSearch(next), { replace: isTyping });
  }

  const query = () => ({ roots: "1", ...toApi(filter) });

  async function load() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    hasMissed = false;
    state.live.subscribe(filter.sort ? null : toApi(filter), true); // children too: they change their root's sums
    loading.clear();
    try {
      const first = await list({ roots: 1, limit: PAGE, ...toApi(filter) }, signal);
      pages = new Pages();
      pages.append(first.rows, null, first.next);
      waiting.clear();
      isLoaded = true;
      state.live.knows(Math.max(0, ...first.rows.map((row) => row.change ?? row.seq ?? 0)));
      if (hasMissed) refresh();
      note.hidden = !first.note;
      setText(note, first.note ?? "");
      grid.el.scrollTop = 0;
      grid.select(split.isOpen ? keyIn(state.route) : "");
      showAll();
      if (isActive(filter)) announce(pages.length ? `${plural(pages.length, "trace")}${pages.isComplete ? "" : " and more"}` : "No traces match");
    } catch (error) {
      if (isAbort(error)) return;
      put(message, failure(error, load));
      message.hidden = false;
      grid.el.hidden = true;
    }
    loadStrip(signal);
  }

  /** @param {AbortSignal} signal */
  async function loadStrip(signal) {
    try {
      strip.update(await get("/api/histogram", { ...query(), buckets: 60 }, signal));
    } catch { /* the list stands without it */ }
  }

  /** Something may have been missed: ask for the first page again and mend the list. */
  async function refresh() {
    if (!isLoaded) return void load();
    try {
      const first = await list({ roots: 1, limit: PAGE, ...toApi(filter) }, asking.signal);
      if (filter.sort) return undefined;
      // a whole new page between us and them: no way to know what lies between, so begin anew
      const overlaps = !pages.length || first.rows.some((row) => pages.known.has(keyOf(row)) || waiting.has(keyOf(row)));
      if (overlaps) enqueue("new", first.rows);
      else load();
    } catch { /* the live button says that nobody answers */ }
    return undefined;
  }

  /** @param {number} first @param {number} last */
  function fetchRange(first, last) {
    for (const index of [first, last - 1]) {
      const place = pages.place(index);
      if (place && !pages.pages[place.page].rows) fetchPage(place.page);
    }
    if (isLoaded && !pages.isComplete && last > pages.length - 30) fetchPage(-1);
  }

  /** @param {number} index page to fill again, -1 for the next one */
  async function fetchPage(index) {
    if (loading.has(index)) return;
    loading.add(index);
    const mine = pages;
    const cursor = index < 0 ? mine.next : mine.pages[index].cursor;
    try {
      const page = await list({ roots: 1, limit: PAGE, ...toApi(filter), cursor }, asking.signal);
      if (mine !== pages) return;
      if (index < 0) mine.append(page.rows, cursor, page.next);
      else mine.refill(index, page.rows);
      requestAnimationFrame(showAll);
    } catch { /* scrolling on asks again */ } finally {
      if (mine === pages) loading.delete(index);
    }
  }

  // ---- live
  /** @param {string} op */
  function enqueue(op, rows) {
    hasMissed = true;
    queue.push(...rows.map((row) => ({ op, row })));
    commit ||= window.setTimeout(work, document.hidden ? 2000 : COMMIT_MS);
  }

  function work() {
    commit = 0;
    const todo = queue;
    queue = [];
    for (const { op, row } of todo) {
      const key = keyOf(row);
      if (op === "delete") removeTrace(row.trace_id);
      else if (row.is_root === false) {
        pages.remove(key); // its parent has come after it
        adopt(row);
      } else if (pages.known.has(key)) pages.upsert(row);
      else waiting.set(key, row);
    }
    takeIfStill();
    showAll();
  }

  /** @param {string} id */
  function removeTrace(id) {
    for (const list of [waiting, pages.known]) for (const [key, row] of list) if (row.trace_id === id) { waiting.delete(key); pages.remove(key); }
  }

  /** A child has come: its root shows the sums. */
  function adopt(row) {
    for (const root of pages.known.values()) {
      if (root.trace_id !== row.trace_id) continue;
      for (const key of ["span_count", "error_count", "trace_cost", "trace_tokens", "trace_unpriced"]) if (row[key] != null) root[key] = row[key];
    }
  }

  /** Only the top of an untouched list may move. */
  function isStill() {
    return grid.el.scrollTop < 4 && !isPointed && !grid.hasFocus();
  }

  function takeIfStill() {
    if (waiting.size && isStill()) takeWaiting();
  }

  function takeWaiting() {
    if (waiting.size > 1) announce(`${plural(waiting.size, "new trace")}`);
    for (const row of [...waiting.values()].sort((a, b) => a.timestamp - b.timestamp)) pages.upsert(row);
    waiting.clear();
    if (document.activeElement === fresh || !isStill()) {
      grid.el.scrollTop = 0;
      if (document.activeElement === fresh && pages.length) grid.goTo(keyOf((pages.at(0))), true);
    }
    showAll();
  }

  function showAll() {
    grid.update();
    grid.showSort(filter.sort || "-time");
    setText(fresh, `${count(waiting.size)} new`);
    const isEmpty = isLoaded && !pages.length && !waiting.size;
    fresh.hidden = !waiting.size;
    grid.el.hidden = isEmpty;
    message.hidden = !isEmpty;
    if (isEmpty) showEmpty();
  }

  function showEmpty() {
    if (bar.isActive()) {
      put(message, notice("No trace matches", "Every condition must hold. Take one away, or all of them.", h("button", { type: "button", class: "button primary", onclick: () => bar.clear() }, `Clear filters (${bar.count()})`)));
    } else {
      put(message, notice("No calls yet", "LLMFlow is waiting. Point a client's base URL at it and its calls appear here as they happen.", h("a", { class: "button primary", href: "/setup" }, "How to send the first call")));
    }
  }

  /** @param {number} by */
  function step(by) {
    const at = pages.indexOf(keyIn(state.route)); // the address leads, not what has been loaded so far
    const row = at < 0 ? undefined : pages.at(at + by);
    if (row) state.go(addressOf(row), { replace: true });
    else announce(by > 0 ? "Last trace" : "First trace");
  }

  const offs = [
    use({
      "/": () => { bar.input.focus(); bar.input.select(); },
      j: () => grid.move(1), k: () => grid.move(-1), ArrowDown: () => grid.move(1), ArrowUp: () => grid.move(-1),
      Escape: escape, "mod+f": findKey,
    }),
    listen(state.live, "rows", (event) => enqueue(event.detail.op, event.detail.rows)),
    listen(state.live, "refresh", refresh),
  ];
  const ticker = setInterval(() => { if (!document.hidden) grid.update(); }, 15_000); // "5s", "6m" grow older

  let findAt = 0;
  /** The browser's own search sees only rows in sight: ours first, its own on the second press. */
  function findKey() {
    if (Date.now() - findAt < 3000 && document.activeElement === bar.input) return false;
    findAt = Date.now();
    bar.input.focus();
    announce("Search all traces. Press again for the browser's search.");
    return true;
  }

  /** @param {KeyboardEvent} event */
  function escape(event) {
    if (event.target === bar.input) {
      if (bar.input.value) changed({ ...filter, q: "" }, true);
      grid.focus();
    } else if (split.isOpen) close();
    else if (bar.isActive()) bar.clear();
    else return false;
    return true;
  }

  bar.loadChoices();
  return {
    update(route) {
      const next = fromSearch(route.search);
      const isNew = !isLoaded || toSearch(next) !== toSearch(filter);
      filter = next;
      bar.set(filter);
      const isOpen = Boolean(route.params.trace);
      const wasOpen = split.isOpen;
      split.open(isOpen);
      if (isNew) load();
      if (isOpen) bring().then(() => state.route === route && detail.show(route));
      else detail?.clear();
      grid.select(isOpen ? keyIn(route) : "");
      if (wasOpen && !isOpen) grid.focus();
    },
    reload: () => (split.isOpen ? detail?.reload() : load()),
    unmount() {
      asking.abort();
      clearInterval(ticker);
      clearTimeout(commit);
      state.live.subscribe(null);
      for (const off of offs) off();
      detail?.clear();
      grid.destroy();
    },
  };

  /** @param {import("../state.js").Route} route */
  function keyIn(route) {
    const { trace } = route.params;
    const span = new URLSearchParams(route.search).get("span");
    if (span && pages.known.has(`${trace}/${span}`)) return `${trace}/${span}`;
    for (const [key, row] of pages.known) if (row.trace_id === trace || row.id === trace) return key;
    return "";
  }
}

/** @param {EventTarget} target @param {string} name @param {(event: any) => void} run */
function listen(target, name, run) {
  target.addEventListener(name, run);
  return () => target.removeEventListener(name, run);
}
