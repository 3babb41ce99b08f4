// @ts-check
/** The windowed table: role=grid, one row in the tab order, arrows to move, Enter to open. It knows rows by key, not by index. */
import { h, icon, put, setAttr } from "./dom.js";
import { mountWindow } from "./window.js";

/**
 * @typedef {{key: string, label: string, cls?: string, title?: string, sort?: string, render: (cell: HTMLElement, row: any) => void}} Column
 * @typedef {{label: string, columns: Column[], name: string, count: () => number, isComplete: () => boolean, rowAt: (i: number) => any, keyOf: (row: any) => string,
 *   hrefOf?: (row: any) => string, decorate?: (node: HTMLElement, row: any) => void, open: (row: any) => void, onRange?: (first: number, last: number) => void, onSort?: (sort: string) => void}} Options
 */

const ROW = 28;

/** @param {HTMLElement} el @param {Options} options */
export function mountGrid(el, options) {
  const { columns } = options;
  const head = h("div", { class: "row head", role: "row", "aria-rowindex": 1 }, columns.map((column) => headCell(column, options)));
  const grid = h("div", { class: `grid ${options.name}`, role: "grid", "aria-label": options.label, "aria-colcount": columns.length, tabindex: 0 }, h("div", { role: "rowgroup", class: "group" }, head));
  el.append(grid);
  let active = "";
  let selected = "";
  let goal = -1; // where keys led before the row was there: update() goes on to it

  const list = mountWindow(grid, {
    rowHeight: ROW, top: ROW, role: "rowgroup", onRange: options.onRange,
    keyAt: (i) => { const row = options.rowAt(i); return row && options.keyOf(row); },
    make: () => h("div", { class: "row", role: "row", tabindex: -1 }, columns.map((column, i) => h("div", { role: "gridcell", "aria-colindex": i + 1, class: `c-${column.key} ${column.cls ?? ""}` }))),
    render,
  });

  /** @param {HTMLElement} node @param {number} index */
  function render(node, index) {
    const row = options.rowAt(index);
    setAttr(node, "aria-rowindex", index + 2);
    node.dataset.index = String(index);
    node.classList.toggle("is-blank", !row);
    if (!row) {
      for (const cell of node.children) put(cell);
      return;
    }
    const key = options.keyOf(row);
    node.dataset.key = key;
    setAttr(node, "tabindex", key === active ? 0 : -1);
    setAttr(node, "aria-selected", key === selected ? "true" : "false");
    options.decorate?.(node, row);
    columns.forEach((column, i) => column.render(/** @type {HTMLElement} */ (node.children[i]), row));
  }

  /** @param {string} key */
  function indexOf(key) {
    if (!key) return -1;
    const node = list.nodeOf(key);
    if (node) return Number(node.dataset.index);
    for (let i = 0; i < options.count(); i += 1) {
      const row = options.rowAt(i);
      if (row && options.keyOf(row) === key) return i;
    }
    return -1;
  }

  function update() {
    const count = options.count();
    setAttr(grid, "aria-rowcount", options.isComplete() ? count + 1 : -1);
    const at = indexOf(active);
    if (at < 0) active = "";
    // one stop in the tab order: the active row, else the grid itself
    setAttr(grid, "tabindex", active ? -1 : 0);
    list.update(count, at);
    if (goal >= 0) goOn();
  }

  /** @param {number} index @param {boolean} [isFocused] */
  function activate(index, isFocused = true) {
    goal = -1;
    const row = options.rowAt(index);
    list.reveal(index);
    if (!row) {
      if (index < options.count()) goal = index; // its page was dropped and is asked for again
      return;
    }
    active = options.keyOf(row);
    update();
    if (isFocused) list.nodeOf(active)?.focus({ preventScroll: true });
  }

  /** @param {number} by */
  function move(by) {
    const count = options.count();
    if (!count) return;
    const at = by > 0 && goal >= 0 ? goal : indexOf(active || selected); // back: from the row that is seen
    reach(Math.max(0, at < 0 ? (by > 0 ? 0 : count - 1) : at + by));
  }

  /** Go as far as there are rows; the rest of the way when more have come: no key press is lost. @param {number} index */
  function reach(index) {
    const last = options.count() - 1;
    activate(Math.min(index, last));
    if (index > last && !options.isComplete()) goal = index;
  }

  function goOn() {
    const index = goal;
    goal = -1;
    if (hasFocus()) reach(index); // else somebody has gone elsewhere
  }

  const hasFocus = () => grid.contains(document.activeElement) && document.activeElement !== grid;

  grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof HTMLElement) || event.target.closest(".head")) return;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(list.pageSize()), PageUp: () => move(-list.pageSize()),
      Home: () => activate(0), End: () => activate(options.count() - 1),
      Enter: openActive, ArrowRight: openActive,
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  function openActive() {
    const row = options.rowAt(indexOf(active));
    if (row) options.open(row);
  }

  grid.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const node = event.target instanceof Element ? event.target.closest(".row") : null;
    if (!(node instanceof HTMLElement) || node.classList.contains("head")) return;
    const row = options.rowAt(Number(node.dataset.index));
    if (!row) return;
    if ((event.ctrlKey || event.metaKey) && options.hrefOf) {
      window.open(options.hrefOf(row), "_blank", "noopener");
      return;
    }
    activate(Number(node.dataset.index));
    options.open(row);
  });
  grid.addEventListener("focus", () => { if (!active && options.count()) activate(0); });

  return {
    el: grid, update, move,
    /** @param {string} key */
    select(key) {
      selected = key;
      goal = -1;
      if (key && !active) active = key;
      update();
    },
    /** @param {string} key @param {boolean} isFocused */
    goTo(key, isFocused) {
      const at = indexOf(key);
      if (at >= 0) activate(at, isFocused);
    },
    focus() {
      const at = Math.max(0, indexOf(active || selected));
      if (options.count()) activate(at);
      else grid.focus();
    },
    hasFocus,
    /** @param {string} sort */
    showSort(sort) {
      columns.forEach((column, i) => {
        const isMine = column.sort && sort.replace("-", "") === column.sort;
        setAttr(head.children[i], "aria-sort", isMine ? (sort.startsWith("-") ? "descending" : "ascending") : null);
      });
    },
    destroy: () => list.destroy(),
  };
}

/** @param {Column} column @param {Options} options */
function headCell(column, options) {
  const cell = h("div", { role: "columnheader", class: `c-${column.key} ${column.cls ?? ""}`, title: column.title });
  if (!column.sort || !options.onSort) return put(cell, column.label);
  const button = h("button", {
    type: "button", title: `Sort by ${column.label.toLowerCase()}`,
    onclick: () => options.onSort?.(cell.getAttribute("aria-sort") === "descending" ? `${column.sort}` : `-${column.sort}`),
  }, column.label, icon("next"));
  cell.append(button);
  return cell;
}
