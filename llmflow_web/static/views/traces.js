// @ts-check
/** The start screen: filter bar, calls over time, the live list, and beside it the trace that was opened. */
import { get } from "../feed/api.js";
import { Rows } from "../feed/rows.js";
import { empty, fromSearch, isActive, toSearch } from "../lib/filter.js";
import { count, plural } from "../lib/figures.js";
import { keyOf } from "../lib/pages.js";
import { COLUMNS, fit } from "../parts/columns.js";
import { announce, h, put, setText, stored, stylesheet } from "../parts/nodes.js";
import { mountFilterBar } from "../parts/filterbar.js";
import { mountGrid } from "../parts/grid.js";
import { isOff, use } from "../parts/keys.js";
import { mountSplit } from "../parts/split.js";

const STRIP_MS = 5000;
const AGE_MS = 15_000;
const RUNNING_MS = 500;
const STILL_MS = 5000; // for those who want nothing to move
const DETAIL = ["span", "tab", "find"]; // of the address, belong to the open trace

/** @typedef {import("../lib/filter.js").Filter} Filter */

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  el.append(h("h1", { class: "sr" }, "Traces"));
  const split = mountSplit(el, { list: "Traces", detail: "Trace" });
  const bar = mountFilterBar(split.list, { onChange: changed, columns: buildColumns });
  const stripPlace = h("div", { class: "strip-place" });
  const note = h("p", { class: "hint", role: "status", hidden: true }); // what of the search the server could not read
  const area = h("div", { class: "list-area" });
  const chosenBar = h("div", { class: "chosen", role: "region", "aria-label": "Selected traces", hidden: true });
  const fresh = h("button", { type: "button", class: "button primary new-rows", hidden: true, onclick: takeWaiting });
  const message = h("div", { hidden: true });
  split.list.append(stripPlace, note, area, chosenBar);
  let filter = empty();
  let isPointed = false;
  /** What Back has to bring back once the rows are there. @type {{place: number, key: string}|null} */
  let wanted = null;
  let step = -1; // the row the detail waits for
  const rows = new Rows(state.live, { isStill: () => grid.place < 4 && !isPointed && !grid.hasFocus() });
  const isMarked = (/** @type {any} */ row) => state.chosen.has(row.trace_id);
  /** @type {Promise<any>|undefined} */
  let choosing;
  /** What can be done with selected rows comes when one is. @param {(choice: any) => void} run */
  const choose = (run) => {
    choosing ??= import("../parts/choice.js").then((module) => module.mountChoice(chosenBar, state.chosen, {
      onChange: () => grid.update(), compare: (a, b) => state.go(`/diff/${encodeURIComponent(a)}/${encodeURIComponent(b)}`),
      removed: async (ids) => { (await import("../feed/mend.js")).forget(rows, ids); showAll(); setTimeout(() => grid.focus()); }, hint: (text) => announce(text, true),
    }));
    choosing.then(run);
  };
  const marking = {
    x: (/** @type {any} */ row) => choose((choice) => choice.set([row], !isMarked(row))),
    c: (/** @type {any} */ row) => choose((choice) => choice.compare(row)), Delete: (/** @type {any} */ row) => choose((choice) => choice.remove(row)),
  };
  const grid = mountGrid(area, {
    label: "Traces", name: "traces", columns: fit(area.clientWidth || 1000, "").columns, keyOf, hrefOf: addressOf,
    count: () => rows.pages.length, isComplete: () => rows.pages.isComplete, rowAt: (i) => rows.pages.at(i), indexOf: (key) => rows.pages.indexOf(key),
    reach: (index) => rows.pages.reach(index), onRange: (first, last) => rows.want(first, last), open, decorate,
    onSort: (sort) => changed({ ...filter, sort: sort === "-time" ? "" : sort }),
    isMarked, onMark: (some, isOn) => choose((choice) => choice.set(some, isOn)), keys: Object.fromEntries(Object.entries(marking).map(([key, run]) => [key, (row) => { if (key.length > 1 || !isOff()) run(row); }])),
  });
  area.append(fresh, message);
  const setDensity = () => { grid.rowHeight = Number(stored("llmflow-rows")) || 28; };
  setDensity();

  // ---- the detail
  /** @type {Promise<any>|undefined} */
  let coming;
  /** @type {any} */
  let detail = null;
  let isByKey = false;
  const close = () => state.go(`/traces${toSearch(filter)}`);
  /** Its modules come when someone comes near the list, with those that they ask for. */
  const bring = () => {
    if (!coming) for (const name of ["messages", "waterfall", "actions"]) import(`../parts/${name}.js`).catch(() => {}); // who needs it asks again
    coming ??= Promise.all([import("./trace.js"), stylesheet("/css/parts.css"), stylesheet("/css/trace.css")]).then(([module]) => { detail = module.mountTrace(split.detail, state, { close, step: stepBy }); });
    return coming;
  };
  area.addEventListener("pointerenter", () => { isPointed = true; bring(); });
  area.addEventListener("focusin", bring);
  area.addEventListener("pointerleave", () => { isPointed = false; stillAgain(); });
  grid.el.addEventListener("focusout", () => setTimeout(stillAgain));

  /** @param {any} row @param {boolean} byKey */
  function open(row, byKey) {
    isByKey = byKey;
    state.go(addressOf(row));
  }

  /** @param {import("../state.js").Route} route */
  async function showDetail(route) {
    const isMoving = isByKey;
    isByKey = false;
    if (!detail) await bring();
    if (state.route !== route) return;
    await detail.show(route);
    // the keyboard must not stay behind a list that made room
    if (state.route === route && (isMoving || !grid.el.checkVisibility())) detail.focus();
  }

  /** @param {any} row */
  function addressOf(row) {
    const query = new URLSearchParams(toSearch(filter));
    if ((row.span_count ?? 1) > 1 && row.parent_id) query.set("span", row.id);
    const text = query.toString();
    return `/traces/${encodeURIComponent(row.trace_id ?? row.id)}${text ? `?${text}` : ""}`;
  }

  /** @param {number} by */
  function stepBy(by) {
    const at = rows.pages.indexOf(keyIn(state.route)); // the address leads, not what has been loaded so far
    const to = at + by;
    step = -1;
    if (at < 0 || to < 0 || to >= rows.pages.length) announce(by > 0 ? "Last trace" : "First trace");
    else if (rows.pages.at(to)) state.go(addressOf(rows.pages.at(to)), { replace: true });
    else {
      step = to;
      rows.want(to, to + 1);
    }
  }

  /** @param {import("../state.js").Route} route */
  function keyIn(route) {
    const { trace } = route.params;
    const span = new URLSearchParams(route.search).get("span");
    const { known } = rows.pages;
    if (span && known.has(`${trace}/${span}`)) return `${trace}/${span}`;
    for (const [key, row] of known) if (row.trace_id === trace || row.id === trace) return key;
    return "";
  }

  // ---- the list
  /** @param {Filter} next @param {boolean} [isTyping] */
  function changed(next, isTyping = false) {
    const query = new URLSearchParams(toSearch(next));
    const isOpen = Boolean(state.route.params.trace);
    if (isOpen) for (const [name, value] of new URLSearchParams(location.search)) if (DETAIL.includes(name)) query.set(name, value);
    const path = isOpen ? `/traces/${encodeURIComponent(state.route.params.trace)}` : "/traces";
    state.go(`${path}${query.size ? `?${query}` : ""}`, { replace: isTyping });
  }

  /** @param {HTMLElement} node @param {any} row */
  function decorate(node, row) {
    node.classList.toggle("is-error", (row.status ?? 0) >= 400);
    node.classList.toggle("is-running", Boolean(row.running));
  }

  let known = COLUMNS;
  async function fitColumns() {
    if (!area.clientWidth) return;
    if (filter.cols && known === COLUMNS) known = (await import("../parts/morecolumns.js")).ALL;
    const { columns, template, least } = fit(area.clientWidth, filter.cols, known);
    grid.el.style.setProperty("--cols", template);
    grid.el.style.setProperty("--least", `${least}px`);
    grid.setColumns(columns);
  }

  /** @param {HTMLElement} panel */
  async function buildColumns(panel) {
    const views = await import("../parts/views.js");
    views.buildColumns(panel, { filter, shown: fit(area.clientWidth, filter.cols, known).columns.map((column) => column.key), query: rows.query(), onChange: changed, onDensity: setDensity });
  }

  function showAll() {
    if (document.hidden) return; // it catches up when it is looked at
    const { pages } = rows;
    const isEmpty = rows.isLoaded && !pages.length && !rows.newCount;
    grid.el.hidden = isEmpty;
    if (!isEmpty) message.hidden = true;
    if (split.isOpen && !grid.opened) grid.select(keyIn(state.route)); // its row may have come only now
    else grid.update();
    grid.showSort(filter.sort || "-time");
    const errors = [...rows.waiting.values()].filter((row) => (row.status ?? 0) >= 400).length;
    const text = `${count(rows.newCount)} new`;
    fresh.hidden = !rows.newCount;
    if (fresh.textContent !== text && rows.newCount) announce(`${plural(rows.newCount, "new trace")}${errors ? `, ${plural(errors, "error")}` : ""}`);
    setText(fresh, text);
    if (isEmpty && message.hidden) showEmpty();
  }

  async function showEmpty() {
    message.hidden = false;
    const parts = await import("../parts/empty.js");
    if (!message.hidden) parts.showEmpty(message, { filter, isPaused: state.live.isPaused, clear: bar.clear, onChange: changed, resume: () => state.live.toggle() });
  }

  rows.addEventListener("change", (/** @type {any} */ event) => {
    showAll();
    restore();
    if (step >= 0 && rows.pages.at(step)) {
      const row = rows.pages.at(step);
      step = -1;
      state.go(addressOf(row), { replace: true });
    }
    if (event.detail?.isLive) stripTimer ||= window.setTimeout(() => { stripTimer = 0; if (!strip?.isBusy && !document.hidden) loadStrip(); }, STRIP_MS);
  });
  rows.addEventListener("loaded", (/** @type {any} */ event) => {
    const told = event.detail.note ?? "";
    note.hidden = !told;
    setText(note, told);
    message.hidden = true;
    grid.reset();
    grid.select(split.isOpen ? keyIn(state.route) : "");
    showAll();
    restore();
    loadStrip(true);
    const { pages } = rows;
    if (isActive(filter)) announce(pages.length ? `${plural(pages.length, "trace")}${pages.isComplete ? "" : " and more"}` : "No traces match");
  });
  rows.addEventListener("failed", async (/** @type {any} */ event) => {
    const { failure } = await import("../parts/dom.js");
    put(message, failure(event.detail.error, () => rows.load(filter)));
    message.hidden = false;
    grid.el.hidden = true;
  });

  let stripTimer = 0;
  /** @type {ReturnType<typeof import("../parts/histogram.js").mountHistogram>|undefined} */
  let strip;
  /** The rows come first. */
  const bringStrip = async () => {
    const { mountHistogram } = await import("../parts/histogram.js");
    strip ??= mountHistogram(stripPlace, {
      onRange: (from, to) => changed({ ...filter, since: "", from: String(from), to: String(to) }),
      onClear: () => { if (filter.since || filter.from || filter.to) changed({ ...filter, since: "", from: "", to: "" }); },
    });
    return strip;
  };
  /** @param {boolean} [isFresh] the list was asked for anew */
  async function loadStrip(isFresh = false) {
    const { signal } = rows.asking;
    try {
      const [answer, shown] = await Promise.all([get("/api/histogram", { ...rows.query(), buckets: 60 }, signal), bringStrip()]);
      if (signal.aborted) return;
      shown.update(answer);
      if (isFresh) rows.expect(shown.total - rows.newCount);
    } catch { /* the list stands without it */ }
  }

  // ---- live
  function stillAgain() {
    rows.takeIfStill();
    showAll();
  }

  function takeWaiting() {
    const isMine = document.activeElement === fresh;
    rows.takeWaiting();
    grid.place = 0;
    showAll();
    const first = rows.pages.at(0);
    if (isMine && first) grid.goTo(keyOf(first), true);
  }

  // ---- what Back brings back
  /** @param {any} kept */
  function remember(kept) {
    wanted = kept && typeof kept.place === "number" ? kept : null;
  }

  function restore() {
    if (!wanted || !rows.isLoaded) return;
    const { place, key } = wanted;
    rows.pages.reach(Math.ceil((place + grid.el.clientHeight) / grid.rowHeight));
    if (place && Math.abs(grid.place - place) > 1) {
      grid.update();
      grid.place = place;
    }
    const isThere = rows.pages.known.has(key);
    if (isThere) grid.goTo(key, false);
    if (isThere || !key) wanted = null;
  }

  let keeping = 0;
  function keep() {
    keeping ||= window.setTimeout(() => {
      keeping = 0;
      if (!wanted) history.replaceState({ ...history.state, list: { place: grid.place, key: grid.activeKey } }, "");
    }, 150);
  }
  grid.el.addEventListener("scroll", keep, { passive: true });
  grid.el.addEventListener("focusin", keep);
  for (const name of ["wheel", "pointerdown", "keydown"]) area.addEventListener(name, () => { wanted = null; }, { passive: true });

  // ---- keys
  /** In the detail these keys are its own: they scroll, or do nothing. @param {(row: any) => void} run */
  const here = (run) => () => {
    if (split.detail.contains(document.activeElement)) return false;
    run(grid.activeRow());
    return true;
  };
  const resizing = new ResizeObserver(fitColumns);
  resizing.observe(area);
  const offs = [
    use({
      "/": () => { bar.input.focus(); bar.input.select(); },
      j: () => grid.move(1), k: () => grid.move(-1), ArrowDown: here(() => grid.move(1)), ArrowUp: here(() => grid.move(-1)),
      "Shift+ArrowDown": here(() => grid.extend(1)), "Shift+ArrowUp": here(() => grid.extend(-1)),
      x: here((row) => row && marking.x(row)), c: here(marking.c), Delete: here(marking.Delete),
      Escape: escape, "mod+f": findKey,
    }),
    listen(state, "term", async (event) => {
      const { toggled } = await import("../lib/chips.js");
      changed({ ...filter, q: toggled(filter.q, event.detail.word, event.detail.isExcluded) });
    }),
    listen(document, "marked", () => choose(() => {})),
    listen(document, "visibilitychange", () => { if (!document.hidden) showAll(); }),
    () => resizing.disconnect(),
  ];

  if (state.chosen.size) choose(() => {});
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  let shownAt = 0;
  const ticker = setInterval(() => {
    const pause = !rows.pages.head.some((row) => row.running) ? AGE_MS : isCalm.matches ? STILL_MS : RUNNING_MS;
    if (document.hidden || Date.now() - shownAt < pause - 50) return;
    shownAt = Date.now();
    grid.update(); // "5s", "6m" grow older, and what runs takes longer
  }, RUNNING_MS);

  let findAt = -Infinity;
  /** The browser's search sees only rows in sight: ours first, its own on the second press. @param {KeyboardEvent} event */
  function findKey(event) {
    if (event.timeStamp - findAt < 3000 && document.activeElement === bar.input) return false;
    findAt = event.timeStamp;
    bar.input.focus();
    announce("Search all traces. Press again for the browser's search.");
    return true;
  }

  /** @param {KeyboardEvent} event */
  function escape(event) {
    if (event.target === bar.input) {
      bar.input.value = "";
      if (filter.q) changed({ ...filter, q: "" }, true);
      grid.focus();
    } else if (state.chosen.size && (grid.hasFocus() || !split.isOpen)) choose((choice) => choice.clear());
    else if (split.isOpen) close();
    else if (bar.isActive()) bar.clear();
    else return false;
    return true;
  }

  return {
    /** @param {import("../state.js").Route} route */
    update(route) {
      const next = fromSearch(route.search);
      const isNew = rows.filter === null || toSearch({ ...next, cols: "" }) !== toSearch({ ...filter, cols: "" });
      filter = next;
      rows.filter = filter;
      bar.set(filter);
      const isOpen = Boolean(route.params.trace);
      const wasOpen = split.isOpen;
      if (isOpen) showDetail(route); // it asks the server, which works while we make room
      else detail?.clear();
      split.open(isOpen);
      fitColumns();
      if (isNew) {
        remember(state.isBack ? history.state?.list : null);
        rows.load(filter);
      }
      grid.select(isOpen ? keyIn(route) : "");
      if (wasOpen && !isOpen) grid.focus();
    },
    reload: () => (split.isOpen ? detail?.reload() : rows.load(filter)),
    unmount() {
      rows.end();
      clearInterval(ticker);
      clearTimeout(stripTimer);
      clearTimeout(keeping);
      for (const off of offs) off();
      choosing?.then((choice) => choice.destroy());
      detail?.clear();
      grid.destroy();
    },
  };
}

/** @param {EventTarget} target @param {string} name @param {(event: any) => void} run */
function listen(target, name, run) {
  target.addEventListener(name, run);
  return () => target.removeEventListener(name, run);
}
