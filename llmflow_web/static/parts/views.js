// @ts-check
/** The panels of the filter bar: saved views, and which columns are shown and how the list is taken away. */
import { get } from "../feed/api.js";
import { send } from "../feed/more.js";
import { fromSearch, toSearch } from "../lib/filter.js";
import { COLUMNS } from "./columns.js";
import { ALL } from "./morecolumns.js";
import { failure, h, iconButton, put, store, stored } from "./dom.js";
import { toast } from "./toast.js";

/** @typedef {import("../lib/filter.js").Filter} Filter */

/** @param {HTMLElement} panel @param {() => void} close @param {{filter: Filter, onChange: (filter: Filter) => void}} given */
export async function buildViews(panel, close, given) {
  let views = [];
  try {
    views = (await get("/api/views")).views;
  } catch (error) {
    put(panel, failure(error, () => buildViews(panel, close, given)));
    return;
  }
  const again = () => buildViews(panel, close, given);
  const query = toSearch(given.filter).slice(1);
  const name = h("input", { type: "text", "aria-label": "Name of the view", placeholder: "Name this view", maxlength: 100, required: true });
  const form = h("form", { class: "panel-form", onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!name.value.trim()) return;
    if (await tried(() => send("PUT", `/api/views/${encodeURIComponent(name.value.trim())}`, { query }), `View “${name.value.trim()}” saved`)) close();
  } }, name, h("button", { type: "submit", class: "button" }, "Save"));
  put(panel, h("h2", null, "Saved views"),
    views.length ? h("ul", null, views.map((/** @type {{name: string, query: string}} */ view) => h("li", null,
      h("a", { href: `/traces${view.query ? `?${view.query}` : ""}`, "aria-current": view.query === query ? "true" : null, onclick: (/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        close();
        given.onChange(fromSearch(view.query));
      } }, view.name),
      iconButton("close", `Delete view ${view.name}`, async () => { if (await tried(() => send("DELETE", `/api/views/${encodeURIComponent(view.name)}`), `View “${view.name}” deleted`)) { await again(); panel.querySelector("input")?.focus(); } })))) : h("p", { class: "muted" }, "None yet. A view keeps the filters, the order and the columns you see now."),
    form);
}

/** @param {() => Promise<any>} run @param {string} done */
async function tried(run, done) {
  try {
    await run();
    toast(done);
    return true;
  } catch (error) {
    toast(/** @type {Error} */ (error).message, { isError: true });
    return false;
  }
}

const COMFORTABLE = "36"; // pixels
const FORMS = [["json", "JSON"], ["jsonl", "JSON Lines"], ["csv", "CSV"], ["otlp", "OTLP"]];

/** @param {HTMLElement} panel @param {{filter: Filter, shown: string[], query: Record<string, string>, onChange: (filter: Filter) => void, onDensity: () => void}} given */
export function buildColumns(panel, { filter, shown, query, onChange, onDensity }) {
  const boxes = ALL.filter((column) => column.key !== "mark").map((column) => {
    const box = h("input", { type: "checkbox", value: column.key, checked: shown.includes(column.key), onchange: choose });
    return { box, row: h("label", { class: "check" }, box, column.title ?? column.label) };
  });
  function choose() {
    const keys = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
    if (keys.length) onChange({ ...filter, cols: keys.join(",") });
  }
  put(panel, h("h2", null, "Columns"), h("div", { class: "panel-columns" }, boxes.map(({ row }) => row)),
    h("button", { type: "button", class: "more", onclick: () => {
      onChange({ ...filter, cols: "" });
      for (const { box } of boxes) box.checked = COLUMNS.some((column) => column.key === box.value);
    } }, "As many as fit"),
    h("h2", null, "Rows"), h("label", { class: "check" }, h("input", { type: "checkbox", checked: stored("llmflow-rows") === COMFORTABLE, onchange: (/** @type {any} */ event) => { store("llmflow-rows", event.target.checked ? COMFORTABLE : ""); onDensity(); } }), "Comfortable: higher rows"),
    h("h2", null, "Export all that match"),
    h("div", { class: "panel-row" }, FORMS.map(([format, label]) => h("a", { class: "button", href: `/api/traces/export?${new URLSearchParams({ format, limit: "1000000", ...query })}`, download: `traces.${format === "otlp" ? "otlp.json" : format}` }, label))));
}
