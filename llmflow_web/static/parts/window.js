// @ts-check
/**
 * A long list of equally high rows of which only those in sight exist; a node follows its row's key, so focus stays.
 * Browsers stop at some millions of pixels: a longer list lends the scrollbar a shorter one.
 */
import { h } from "./nodes.js";

export const MAX_ROWS = 60;
export const MAX_HEIGHT = 1_000_000;

/**
 * @param {HTMLElement} scroller @param {{rowHeight: number, top?: number, role?: string, make: () => HTMLElement, keyAt: (index: number) => string|undefined,
 *   render: (node: any, index: number) => void, onRange?: (first: number, last: number) => void}} options `top`: the height of a heading that stays
 */
export function mountWindow(scroller, options) {
  const { top = 0 } = options;
  let { rowHeight } = options;
  const body = h("div", { class: "window", role: options.role });
  scroller.append(body);
  /** @type {Map<string, {node: HTMLElement, index: number, y: number}>} */
  const alive = new Map();
  /** @type {HTMLElement[]} */
  const pool = [];
  let count = 0;
  let kept = -1;
  let height = scroller.clientHeight;
  let isAsked = false;
  let place = 0; // in pixels of the whole list
  let bar = 0; // the scrollbar when we last looked

  const room = () => Math.max(0, height - top);
  const whole = () => count * rowHeight;
  const lent = () => Math.min(whole(), MAX_HEIGHT);
  const farthest = () => Math.max(0, whole() - room());
  /** Pixels of the list to one of the scrollbar. */
  const scale = () => (whole() > lent() ? farthest() / Math.max(1, lent() - room()) : 1);

  function range() {
    const inSight = Math.ceil(room() / rowHeight) + 1;
    const spare = Math.max(0, Math.min(8, Math.floor((MAX_ROWS - 2 - inSight) / 2)));
    const first = Math.max(0, Math.floor(place / rowHeight) - spare);
    return [first, Math.min(count, first + Math.max(inSight + 1, Math.min(MAX_ROWS - 1, inSight + spare * 2)))]; // a very tall screen needs more than MAX_ROWS;
  }

  /** The scrollbar has moved: a short way is taken as it is, a long one as a share of the whole. */
  function follow() {
    const now = scroller.scrollTop;
    const way = now - bar;
    if (scale() === 1) place = now;
    else if (Math.abs(way) < 2 * height && now > 0 && now < lent() - room()) place += way;
    else if (way) place = now * scale();
    place = Math.max(0, Math.min(farthest(), place));
    bar = now;
  }

  /** Put the scrollbar where the place is. */
  function settle() {
    const wanted = place / scale();
    if (Math.abs(scroller.scrollTop - wanted) >= 1) scroller.scrollTop = wanted;
    bar = scroller.scrollTop;
    if (scale() === 1) place = bar;
  }

  /** @param {boolean} isAll render also rows that stand already */
  function sync(isAll) {
    const [first, last] = range();
    /** @type {Map<string, number>} */
    const wanted = new Map();
    for (let i = first; i < last; i += 1) wanted.set(options.keyAt(i) ?? `#${i}`, i);
    if (kept >= 0 && kept < count && (kept < first || kept >= last)) wanted.set(options.keyAt(kept) ?? `#${kept}`, kept);
    rename(wanted);
    for (const [key, item] of alive) {
      if (wanted.has(key)) continue;
      alive.delete(key);
      pool.push(item.node);
      item.node.hidden = true;
    }
    for (const [key, index] of wanted) show(key, index, isAll);
    while (pool.length + alive.size > MAX_ROWS) pool.pop()?.remove();
    options.onRange?.(first, last);
  }

  /** A row that has come takes over the node, and the focus, of its blank; and the other way round. @param {Map<string, number>} wanted */
  function rename(wanted) {
    for (const [key, item] of [...alive]) {
      if (wanted.has(key)) continue;
      const other = key.startsWith("#") ? options.keyAt(item.index) : `#${item.index}`;
      if (other === undefined || alive.has(other) || wanted.get(other) !== item.index) continue;
      alive.delete(key);
      alive.set(other, item);
      options.render(item.node, item.index);
    }
  }

  /** @param {string} key @param {number} index @param {boolean} isAll */
  function show(key, index, isAll) {
    let item = alive.get(key);
    const isFresh = !item;
    if (!item) {
      const node = pool.pop() ?? options.make();
      node.hidden = false;
      if (!node.isConnected) body.append(node);
      item = { node, index: -1, y: -1 };
      alive.set(key, item);
    }
    const y = index * rowHeight - (place - bar);
    if (item.y !== y) {
      item.node.style.transform = `translateY(${y}px)`;
      item.y = y;
    }
    if (isFresh || isAll || item.index !== index) {
      item.index = index;
      options.render(item.node, index);
    }
  }

  scroller.addEventListener("scroll", () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      follow();
      sync(false);
    });
  }, { passive: true });
  // after many small ways the bar has strayed from its share
  scroller.addEventListener("scrollend", () => {
    if (scale() === 1) return;
    follow();
    settle();
    sync(false);
  });
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
      follow();
      count = rows;
      kept = keep;
      body.style.height = `${lent()}px`;
      place = Math.min(place, farthest());
      if (scale() !== 1 || place !== bar) settle();
      sync(true);
    },
    /** @param {number} index */
    reveal(index) {
      follow();
      const from = index * rowHeight;
      if (from < place) place = from;
      else if (from + rowHeight > place + room()) place = from + rowHeight - room();
      settle();
      sync(false);
    },
    get place() {
      follow();
      return place;
    },
    set place(pixels) {
      place = Math.max(0, Math.min(farthest(), pixels));
      settle();
      sync(false);
    },
    /** All rows are made anew. */
    clear() {
      body.replaceChildren();
      alive.clear();
      pool.length = 0;
      sync(true);
    },
    /** All rows are so high from now on; the first in sight stays it. @param {number} pixels */
    setRowHeight(pixels) {
      follow();
      place *= pixels / rowHeight;
      rowHeight = pixels;
      body.style.height = `${lent()}px`;
      settle();
      sync(true);
    },
    pageSize: () => Math.max(1, Math.floor(room() / rowHeight) - 1),
    /** @param {string} key */
    nodeOf: (key) => alive.get(key)?.node,
    destroy: () => watcher.disconnect(),
  };
}
