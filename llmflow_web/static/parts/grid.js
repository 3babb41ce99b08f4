// @ts-check
/**
 * The windowed table: role=grid, one row in the tab order, arrows to move, Enter to open. A row that has not come yet can be
 * gone to all the same: no key press is lost.
 */
import { h, icon, put, setAttr } from "./nodes.js";
import { mountWindow } from "./window.js";

/**
 * @typedef {{key: string, label: string, cls?: string, title?: string, sort?: string, render: (cell: HTMLElement, row: any) => void}} Column
 * @typedef {{label: string, columns: Column[], name: string, count: () => number, isComplete: () => boolean, rowAt: (i: number) => any, indexOf: (key: string) => number,
 *   keyOf: (row: any) => string, reach?: (index: number) => void, hrefOf?: (row: any) => string, decorate?: (node: HTMLElement, row: any) => void,
 *   open: (row: any, isByKey: boolean) => void, onRange?: (first: number, last: number) => void, onSort?: (sort: string) => void,
 *   isMarked?: (row: any) => boolean, onMark?: (rows: any[], isOn: boolean) => void, keys?: Record<string, (row: any) => void>}} Options
 *   `reach`: there must be a place for this row
 */

export const ROW = 28;

/** @param {HTMLElement} el @param {Options} options */
export function mountGrid(el, options) {
  let { columns } = options;
  let rowHeight = ROW;
  const head = h("div", { class: "row head", role: "row", "aria-rowindex": 1 });
  const grid = h("div", { class: `grid ${options.name}`, role: "grid", "aria-label": options.label, "aria-multiselectable": options.isMarked ? "true" : null, tabindex: 0 }, h("div", { role: "rowgroup", class: "group" }, head));
  el.append(grid);
  const active = { key: "", index: -1 }; // the row that has the keyboard
  let opened = "";
  let sorted = "";
  let anchor = -1; // where a selection with Shift began
  let isOpening = false; // once its row has come

  const list = mountWindow(grid, {
    rowHeight: ROW, top: ROW, role: "rowgroup", onRange: options.onRange,
    keyAt: (i) => { const row = options.rowAt(i); return row && options.keyOf(row); },
    make: () => h("div", { class: "row", role: "row", tabindex: -1 }, columns.map((column, i) => h("div", { role: "gridcell", "aria-colindex": i + 1, class: `c-${column.key} ${column.cls ?? ""}` }))),
    render,
  });
  showHead();

  function showHead() {
    setAttr(grid, "aria-colcount", columns.length);
    put(head, columns.map((column) => headCell(column, options)));
    showSort(sorted);
  }

  /** @param {HTMLElement} node @param {number} index */
  function render(node, index) {
    const row = options.rowAt(index);
    const isActive = index === active.index;
    setAttr(node, "aria-rowindex", index + 2);
    setAttr(node, "tabindex", isActive ? 0 : -1);
    node.dataset.index = String(index);
    node.classList.toggle("is-blank", !row);
    setAttr(node, "aria-busy", row ? null : "true");
    if (!row) {
      delete node.dataset.key;
      for (const name of ["aria-selected", "aria-current"]) setAttr(node, name, null);
      node.classList.remove("is-error", "is-running");
      for (const cell of /** @type {any} */ (node.children)) blank(cell);
      return;
    }
    const key = options.keyOf(row);
    node.dataset.key = key;
    setAttr(node, "aria-current", key === opened ? "true" : null);
    if (options.isMarked) setAttr(node, "aria-selected", options.isMarked(row) ? "true" : "false");
    options.decorate?.(node, row);
    columns.forEach((column, i) => column.render(/** @type {HTMLElement} */ (node.children[i]), row));
  }

  function update() {
    const before = anchorRow();
    const isFocused = hasFocus();
    const count = options.count();
    setAttr(grid, "aria-rowcount", count + 1);
    follow(count);
    setAttr(grid, "tabindex", active.index < 0 ? 0 : -1); // one stop in the tab order
    list.update(count, active.index);
    if (before) holdStill(before);
    if (isFocused && !hasFocus() && active.index >= 0) activate(active.index);
    if (isOpening) openActive();
  }

  /** The active row may have moved, gone or come. @param {number} count */
  function follow(count) {
    if (active.index < 0) return;
    const at = active.key ? options.indexOf(active.key) : -1;
    if (at >= 0) active.index = at;
    else active.index = Math.min(active.index, count - 1);
    const row = options.rowAt(active.index);
    if (row) active.key = options.keyOf(row);
  }

  /** The first row in sight must not move when rows come or go above it. */
  function anchorRow() {
    if (list.place < rowHeight) return null;
    const index = Math.ceil(list.place / rowHeight);
    const node = grid.querySelector(`.window > [data-index="${index}"]:not([hidden])`);
    return node?.dataset.key ? { key: node.dataset.key, from: index * rowHeight - list.place } : null;
  }

  /** @param {{key: string, from: number}} before */
  function holdStill({ key, from }) {
    const at = options.indexOf(key);
    if (at < 0) return;
    const wanted = at * rowHeight - from;
    if (Math.abs(wanted - list.place) >= 1) list.place = wanted;
  }

  /** @param {number} index @param {boolean} [isFocused] */
  function activate(index, isFocused = true) {
    isOpening = false;
    const old = list.nodeOf(active.key) ?? list.nodeOf(`#${active.index}`);
    const row = options.rowAt(index);
    active.key = row ? options.keyOf(row) : "";
    active.index = index;
    if (old) setAttr(old, "tabindex", -1);
    list.reveal(index);
    setAttr(grid, "tabindex", -1);
    const node = list.nodeOf(active.key || `#${index}`);
    if (!node) return;
    setAttr(node, "tabindex", 0);
    if (isFocused) node.focus({ preventScroll: true });
  }

  /** Where the next move starts. */
  function current() {
    return active.index >= 0 ? active.index : options.indexOf(opened);
  }

  /** @param {number} by */
  function move(by) {
    if (!options.count()) return;
    const at = current();
    go(at < 0 ? (by > 0 ? 0 : options.count() - 1) : at + by);
  }

  /** @param {number} index */
  function go(index) {
    anchor = -1;
    activate(within(index));
  }

  /** @param {number} index */
  function within(index) {
    if (index >= options.count() && !options.isComplete() && options.reach) {
      options.reach(index);
      list.update(options.count(), active.index);
    }
    return Math.max(0, Math.min(options.count() - 1, index));
  }

  /** @param {number} by */
  function extend(by) {
    if (!options.onMark || !options.count()) return;
    const from = Math.max(0, current());
    if (anchor < 0) anchor = from;
    const to = within(from + by);
    markRange(anchor, from, to);
    activate(to);
  }

  /** The selection reached to `from`, now to `to`. @param {number} start @param {number} from @param {number} to */
  function markRange(start, from, to) {
    const rows = (/** @type {number} */ a, /** @type {number} */ b) => {
      const found = [];
      for (let i = Math.min(a, b); i <= Math.max(a, b); i += 1) if (options.rowAt(i)) found.push(options.rowAt(i));
      return found;
    };
    const now = rows(start, to);
    options.onMark?.(rows(start, from).filter((row) => !now.includes(row)), false);
    options.onMark?.(now, true);
  }

  function openActive() {
    const row = options.rowAt(active.index);
    isOpening = !row && active.index >= 0;
    if (row) options.open(row, true);
  }

  grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof HTMLElement) || event.target.closest(".head")) return;
    const name = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(list.pageSize()), PageUp: () => move(-list.pageSize()),
      Home: () => options.count() && go(0), End: () => options.count() && go(options.count() - 1),
      Enter: openActive, ArrowRight: openActive, "Shift+ArrowDown": () => extend(1), "Shift+ArrowUp": () => extend(-1),
    };
    const own = options.keys?.[name];
    const row = options.rowAt(active.index);
    if (keys[name]) keys[name]();
    else if (own && row) own(row);
    else return;
    event.preventDefault();
  });

  /** @param {Event} event @returns {{row: any, index: number}|null} */
  function hit(event) {
    const node = event.target instanceof Element ? event.target.closest(".window > .row") : null;
    const index = node instanceof HTMLElement ? Number(node.dataset.index) : -1;
    const row = index < 0 ? undefined : options.rowAt(index);
    return row ? { row, index } : null;
  }

  grid.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const found = hit(event);
    if (!found) return;
    if (options.onMark && /** @type {Element} */ (event.target).closest(".c-mark")) {
      event.preventDefault();
      if (event.shiftKey && active.index >= 0) {
        markRange(anchor < 0 ? active.index : anchor, active.index, found.index);
        anchor = anchor < 0 ? active.index : anchor;
      } else {
        anchor = found.index;
        options.onMark([found.row], !options.isMarked?.(found.row));
      }
      activate(found.index);
      return;
    }
    anchor = -1;
    if (event.ctrlKey || event.metaKey) {
      openTab(found.row);
      return;
    }
    activate(found.index);
    options.open(found.row, false);
  });
  grid.addEventListener("auxclick", (/** @type {MouseEvent} */ event) => {
    const found = event.button === 1 && hit(event);
    if (!found) return;
    event.preventDefault();
    openTab(found.row);
  });

  function openTab(row) {
    if (options.hrefOf) window.open(options.hrefOf(row), "_blank", "noopener");
  }

  // Tab forward finds the sort buttons of the head before the row
  grid.addEventListener("focus", ({ relatedTarget }) => {
    if (active.index >= 0 || !options.count()) return;
    const isForward = relatedTarget instanceof Node && grid.compareDocumentPosition(relatedTarget) & Node.DOCUMENT_POSITION_PRECEDING;
    const first = isForward ? head.querySelector("button") : null;
    activate(Math.max(0, options.indexOf(opened)), !first);
    first?.focus();
  });

  /** @param {string} sort */
  function showSort(sort) {
    sorted = sort;
    columns.forEach((column, i) => {
      const isMine = column.sort && sort.replace("-", "") === column.sort;
      setAttr(head.children[i], "aria-sort", isMine ? (sort.startsWith("-") ? "descending" : "ascending") : null);
    });
  }

  return {
    el: grid, update, move, extend, showSort,
    /** The row that is open. @param {string} key */
    select(key) {
      opened = key;
      const at = key && active.index < 0 ? options.indexOf(key) : -1;
      if (at >= 0) Object.assign(active, { key, index: at });
      update();
    },
    /** @param {Column[]} next */
    setColumns(next) {
      if (next.length === columns.length && next.every((column, i) => column === columns[i])) return;
      const isFocused = hasFocus();
      columns = next;
      showHead();
      list.clear();
      if (isFocused && active.index >= 0) activate(active.index);
    },
    get rowHeight() { return rowHeight; },
    set rowHeight(pixels) {
      if (pixels === rowHeight) return;
      rowHeight = pixels;
      grid.style.setProperty("--row", `${pixels}px`);
      list.setRowHeight(pixels);
    },
    /** Another list is shown, from its top. */
    reset() {
      Object.assign(active, { key: "", index: -1 });
      anchor = -1;
      isOpening = false;
      list.place = 0;
    },
    /** @param {string} key @param {boolean} isFocused */
    goTo(key, isFocused) {
      const at = options.indexOf(key);
      if (at >= 0) activate(at, isFocused);
    },
    focus() {
      if (options.count()) activate(Math.max(0, current()));
      else grid.focus();
    },
    hasFocus,
    get activeKey() { return active.key; },
    get opened() { return opened; },
    activeRow: () => (active.index >= 0 ? options.rowAt(active.index) : undefined),
    get place() { return list.place; },
    set place(pixels) { list.place = pixels; },
    destroy: () => list.destroy(),
  };

  function hasFocus() {
    return grid.contains(document.activeElement) && document.activeElement !== grid;
  }
}

/** @param {HTMLElement} cell */
function blank(cell) {
  put(cell);
  for (const name of ["title", "data-mark", "data-term"]) cell.removeAttribute(name);
}

/** @param {Column} column @param {Options} options */
function headCell(column, options) {
  const cell = h("div", { role: "columnheader", class: `c-${column.key} ${column.cls ?? ""}`, title: column.title });
  if (!column.sort || !options.onSort) return put(cell, column.key === "mark" ? h("span", { class: "sr" }, column.label) : column.label);
  const button = h("button", {
    type: "button", title: `Sort by ${column.label.toLowerCase()}`,
    onclick: () => options.onSort?.(cell.getAttribute("aria-sort") === "descending" ? `${column.sort}` : `-${column.sort}`),
  }, column.label, icon("next"));
  cell.append(button);
  return cell;
}
