// @ts-check
/** Marks a text wherever it stands in a part of the page, without touching a node, and goes from one mark to the next. */
import { ranges } from "../lib/search.js";
import { debounce } from "./dom.js";

const MOST = 2000;

/** @param {HTMLElement} root @param {{onCount: (count: number) => void}} options */
export function mountMarks(root, { onCount }) {
  /** @type {Range[]} */
  let found = [];
  let text = "";
  let at = -1;
  const highlights = /** @type {any} */ (CSS).highlights;
  const Highlight_ = /** @type {any} */ (globalThis).Highlight;

  function collect() {
    found = [];
    if (text) {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) => (node.parentElement?.closest("button, select, .tree, .find, .tree-tools, .segments") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
      while (found.length < MOST && walker.nextNode()) {
        const node = /** @type {Text} */ (walker.currentNode);
        for (const [from, to] of ranges(node.data, text)) {
          const range = new Range();
          range.setStart(node, from);
          range.setEnd(node, to);
          found.push(range);
        }
      }
    }
    if (at >= found.length) at = -1;
    paint();
    onCount(found.length);
  }

  function paint() {
    if (!highlights || !Highlight_) return;
    highlights.set("found", new Highlight_(...found));
    highlights.set("found-now", new Highlight_(...(found[at] ? [found[at]] : [])));
  }

  const again = debounce(80, () => { if (text) collect(); });
  // the tree's rows come and go with every scroll, and are not searched here
  const watcher = new MutationObserver((changes) => { if (changes.some(({ target }) => !(target instanceof Element ? target : target.parentElement)?.closest(".tree"))) again(); });

  return {
    /** @param {string} wanted */
    find(wanted) {
      text = wanted.trim();
      at = -1;
      if (text) watcher.observe(root, { childList: true, subtree: true, characterData: true });
      else watcher.disconnect();
      collect();
    },
    /** @param {number} by @returns {number} which one it is now, 0 = none */
    step(by) {
      if (!found.length) return 0;
      at = (at + by + found.length + (at < 0 && by < 0 ? 1 : 0)) % found.length;
      const element = found[at].startContainer.parentElement;
      for (let box = element?.closest("details:not([open])"); box; box = box.parentElement?.closest("details:not([open])")) /** @type {HTMLDetailsElement} */ (box).open = true;
      element?.scrollIntoView({ block: "center" });
      paint();
      return at + 1;
    },
    destroy() {
      watcher.disconnect();
      again.cancel();
      highlights?.delete("found");
      highlights?.delete("found-now");
    },
  };
}
