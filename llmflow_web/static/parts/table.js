// @ts-check
/** A plain table from rows and columns, for lists of a few hundred. */
import { failure, h } from "./dom.js";

/** @typedef {{label: string, cls?: string, isHead?: boolean, title?: string, cell: (row: any) => import("./dom.js").Kid}} PlainColumn `isHead`: it names its row */

/** @param {PlainColumn[]} columns @param {{label: string, isError?: (row: any) => boolean}} options */
export function table(rows, columns, { label, isError }) {
  return h("div", { class: "scroll wide", tabindex: 0, role: "region", "aria-label": label }, h("table", null,
    h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col", class: column.cls, title: column.title }, column.label)))),
    h("tbody", null, rows.map((row) => h("tr", { class: isError?.(row) ? "is-error" : null }, columns.map((column) => (column.isHead ? h("th", { scope: "row", class: column.cls }, column.cell(row)) : h("td", { class: column.cls }, column.cell(row)))))))));
}

/** A screen that asks once and shows the answer: loading, failure and reload are the same everywhere.
 * @param {HTMLElement} el @param {{ask: (signal: AbortSignal) => Promise<any>, show: (page: HTMLElement, answer: any) => void}} options */
export function mountPage(el, { ask, show }) {
  const page = h("div", { class: "screen page", "aria-busy": "true" });
  el.append(page);
  let asking = new AbortController();
  async function load() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    page.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(signal);
      if (signal.aborted) return;
      page.replaceChildren();
      show(page, answer);
    } catch (error) {
      if (signal.aborted) return;
      page.replaceChildren(failure(error, load));
    }
    page.removeAttribute("aria-busy");
  }
  return { update: load, reload: load, unmount: () => asking.abort() };
}
