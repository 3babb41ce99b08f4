// @ts-check
/** A long list of equally high rows of which only those in sight exist. Rows follow their key, so focus stays with its row. */
import { h } from "./dom.js";

export const MAX_ROWS = 60;

/**
 * @param {HTMLElement} scroller @param {{rowHeight: number, top?: number, role?: string, make: () => HTMLElement, keyAt: (index: number) => string|undefined,
 *   render: (node: any, index: number) => void, onRange?: (first: number, last: number) => void}} options
 */
export function mountWindow(scroller, options) {
  const { rowHeight, top = 0 } = options;
  const body = h("div", { class: "window", role: options.role });
  scroller.append(body);
  /** @type {Map<string, {node: HTMLElement, index: number}>} */
  const alive = new Map();
  /** @type {HTMLElement[]} */
  const pool = [];
  let count = 0;
  let kept = -1;
  let height = scroller.clientHeight;
  let isAsked = false;

  function range() {
    const inSight = Math.ceil(Math.max(0, height - top) / rowHeight) + 1;
    const spare = Math.max(0, Math.min(8, Math.floor((MAX_ROWS - 2 - inSight) / 2)));
    const first = Math.max(0, Math.floor(scroller.scrollTop / rowHeight) - spare);
    return [first, Math.min(count, first + Math.min(MAX_ROWS - 1, inSight + spare * 2))];
  }

  /** @param {boolean} isAll render also rows that stand already */
  function sync(isAll) {
    const [first, last] = range();
    /** @type {Map<string, number>} */
    const wanted = new Map();
    for (let i = first; i < last; i += 1) wanted.set(options.keyAt(i) ?? `#${i}`, i);
    if (kept >= 0 && kept < count && (kept < first || kept >= last)) wanted.set(options.keyAt(kept) ?? `#${kept}`, kept);
    for (const [key, item] of alive) {
      if (wanted.has(key)) continue;
      alive.delete(key);
      pool.push(item.node);
      item.node.hidden = true;
    }
    for (const [key, index] of wanted) place(key, index, isAll);
    while (pool.length > 20) pool.pop()?.remove();
    options.onRange?.(first, last);
  }

  /** @param {string} key @param {number} index @param {boolean} isAll */
  function place(key, index, isAll) {
    let item = alive.get(key);
    const isFresh = !item;
    if (!item) {
      const node = pool.pop() ?? options.make();
      node.hidden = false;
      if (!node.isConnected) body.append(node);
      item = { node, index: -1 };
      alive.set(key, item);
    }
    if (item.index !== index) {
      item.node.style.transform = `translateY(${index * rowHeight}px)`;
      item.index = index;
      isAll = true;
    }
    if (isFresh || isAll) options.render(item.node, index);
  }

  scroller.addEventListener("scroll", () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      sync(false);
    });
  }, { passive: true });
  const watcher = new ResizeObserver(() => {
    if (scroller.clientHeight === height) return;
    height = scroller.clientHeight;
    sync(false);
  });
  watcher.observe(scroller);

  return {
    body,
    /** @param {number} rows @param {number} [keep] index that must stay alive */
    update(rows, keep = -1) {
      count = rows;
      kept = keep;
      body.style.height = `${rows * rowHeight}px`;
      sync(true);
    },
    /** @param {number} index */
    reveal(index) {
      const from = index * rowHeight;
      const room = scroller.clientHeight - top;
      if (from < scroller.scrollTop) scroller.scrollTop = from;
      else if (from + rowHeight > scroller.scrollTop + room) scroller.scrollTop = from + rowHeight - room;
      sync(false);
    },
    pageSize: () => Math.max(1, Math.floor((height - top) / rowHeight) - 1),
    /** @param {string} key */
    nodeOf: (key) => alive.get(key)?.node,
    destroy: () => watcher.disconnect(),
  };
}
