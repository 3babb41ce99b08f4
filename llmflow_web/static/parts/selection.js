// @ts-check
/** The bar at the foot of the list while rows are selected: compare two, take them away as a file, delete them. */
import { send } from "../feed/more.js";
import { plural } from "../lib/format.js";
import { title } from "../lib/outcome.js";
import { openDialog } from "./dialog.js";
import { h, iconButton, put, stylesheet } from "./dom.js";
import { toast } from "./toast.js";

const MOST_EXPORTED = 200;
const MOST_AS_PAGE = 20;
const FORMS = [["json", "JSON", "json"], ["csv", "CSV", "csv"], ["otlp", "OTLP", "otlp.json"], ["html", "HTML", "html"]];

/**
 * @param {HTMLElement} bar @param {Map<string, any>} chosen rows by trace id
 * @param {{compare: () => void, remove: () => void, clear: () => void}} act
 */
export function showSelection(bar, chosen, act) {
  stylesheet("/css/extra.css");
  const ids = [...chosen.keys()];
  const most = (/** @type {string} */ format) => (format === "html" ? MOST_AS_PAGE : MOST_EXPORTED);
  put(bar, h("strong", null, `${plural(ids.length, "trace")} selected`),
    h("button", { type: "button", class: "button", disabled: ids.length !== 2, title: "Compare two (c)", onclick: act.compare }, "Compare"),
    h("span", { class: "muted export-word" }, "Export"), FORMS.map(([format, label, ending]) => (ids.length > most(format)
      ? h("button", { type: "button", class: "button", disabled: true, title: `At most ${most(format)} traces` }, label)
      : h("a", { class: "button", "aria-label": `Export as ${label}`, href: `/api/traces/export?${new URLSearchParams({ format, limit: "1000000", ids: ids.join(",") })}`, download: `traces.${ending}` }, label))),
    h("button", { type: "button", class: "button danger", title: "Delete (Del)", onclick: act.remove }, "Delete…"), h("span", { class: "grow" }),
    iconButton("close", "Clear the selection", act.clear));
}

/** Ask, then delete. @param {any[]} rows @param {(ids: string[]) => void} done */
export function confirmDelete(rows, done) {
  const ids = [...new Set(rows.map((row) => row.trace_id))];
  const failed = h("p", { class: "hint", role: "alert", hidden: true });
  const cancel = h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
  const yes = h("button", { type: "button", class: "button danger", onclick: async () => {
    yes.disabled = true;
    try {
      if (ids.length === 1) await send("DELETE", `/api/traces/${encodeURIComponent(ids[0])}`);
      else await send("POST", "/api/traces/delete", { ids });
      done(ids);
      dialog.close();
      toast(`${plural(ids.length, "trace")} deleted`);
    } catch (error) {
      failed.textContent = `Nothing was deleted: ${/** @type {Error} */ (error).message}`;
      failed.hidden = false;
      yes.disabled = false;
    }
  } }, "Delete");
  const what = ids.length === 1 ? [h("strong", null, title(rows[0])), " and everything recorded under this trace"] : [h("strong", null, plural(ids.length, "trace")), " and everything recorded under them"];
  const dialog = openDialog(ids.length === 1 ? "Delete this trace?" : `Delete ${ids.length} traces?`, h("div", { class: "confirm" }, h("p", null, what, " will be gone for good."), failed, h("div", { class: "confirm-tools" }, cancel, yes)));
  cancel.focus();
}
