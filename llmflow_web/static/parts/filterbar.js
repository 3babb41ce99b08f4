// @ts-check
/** One text box, quick choices, a chip for everything active. The grammar is the server's; we send what was typed. */
import { cleared, empty, isActive } from "../lib/filter.js";
import { debounce, h, icon, iconButton, put, setAttr, setText } from "./nodes.js";

const DEBOUNCE_MS = 150;
const CHOICES_MS = 1500; // the rows come first
const TIMES = [["", "Any time"], ["15m", "15 min"], ["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];
const UNFINISHED = /(^|\s)-?[a-z_]+(:|>=|<=|[=<>])"?$/i;

/** @typedef {import("../lib/filter.js").Filter} Filter */

/** @param {HTMLElement} el @param {{onChange: (filter: Filter, isTyping: boolean) => void, columns: (panel: HTMLElement) => void}} options */
export function mountFilterBar(el, { onChange, columns }) {
  let filter = empty();
  let sent = ""; // the text as it was last told of
  const typed = debounce(DEBOUNCE_MS, () => change({ ...filter, q: told() }, true));
  const input = h("input", {
    type: "text", inputmode: "search", enterkeyhint: "search", id: "searchInput", role: "combobox", "aria-label": "Search traces", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list",
    placeholder: "Search, or model:… cost>0.01 -word", autocomplete: "off", spellcheck: "false", maxlength: 1000, oninput: typed, onfocus: () => suggest(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter" && !event.isComposing && !input.hasAttribute("aria-activedescendant")) change({ ...filter, q: told() }, true); },
  });
  const list = h("ul", { class: "suggestions", role: "listbox", id: "suggestions", "aria-label": "Suggestions", hidden: true });
  /** @param {string} key @param {string} label @param {string[][]} options @param {string|null} [id] */
  const choice = (key, label, options, id = null) => h("select", { "aria-label": label, title: label, id, onchange: (/** @type {any} */ event) => change({ ...filter, [key]: event.target.value, ...(key === "since" ? { from: "", to: "" } : {}) }) }, options.map(([value, text]) => h("option", { value }, text)));
  const selects = /** @type {Record<string, HTMLSelectElement>} */ ({
    since: choice("since", "Time", TIMES, "dateFilter"),
    status: choice("status", "Status", [["", "Status"], ["success", "OK"], ["error", "Errors"]], "statusFilter"),
    model: choice("model", "Model", [["", "Model"]], "modelFilter"),
    provider: choice("provider", "Provider", [["", "Provider"]]),
    tag: choice("tag", "Tag", [["", "Tag"]]),
    session: choice("session", "Session", [["", "Session"]]),
  });
  const picks = h("div", { class: "picks", id: "picks", onpointerenter: bringChoices, onfocusin: bringChoices }, Object.values(selects));
  const more = h("button", { type: "button", class: "button picks-button", "aria-expanded": "false", "aria-controls": "picks", onclick: () => setAttr(more, "aria-expanded", picks.classList.toggle("is-open") ? "true" : "false") }, "Filters");
  const row = h("div", { class: "chips", role: "group", "aria-label": "Active filters", hidden: true });
  const panel = (/** @type {string} */ name, /** @type {string} */ label, /** @type {import("./panel.js").Build} */ build) => {
    const button = iconButton(name, label, async () => (await import("./panel.js")).toggle(button, build), { "aria-expanded": "false" });
    return h("div", { class: "panel-place" }, button);
  };
  const views = panel("star", "Saved views", async (box, close) => (await import("./views.js")).buildViews(box, close, { filter, onChange: change }));
  const chooser = panel("columns", "Columns and export", columns);
  el.append(h("div", { class: "filters", role: "search" }, h("div", { class: "search" }, icon("search"), input, list), more, views, chooser, picks, row));

  setTimeout(bringChoices, CHOICES_MS);
  async function bringChoices() {
    (await import("./choices.js")).loadChoices(selects);
  }

  /** A field without its value yet is not looked for. */
  function told() {
    return input.value.replace(UNFINISHED, "").trim();
  }

  /** @type {Promise<void>|undefined} */
  let coming;
  function suggest() {
    coming ??= import("./suggest.js").then(({ mountSuggest }) => mountSuggest(input, list, { onPick: () => change({ ...filter, q: told() }, true) }));
  }

  /** @param {Filter} next */
  function change(next, isTyping = false) {
    typed.cancel();
    if (isTyping && next.q === filter.q) return;
    filter = next;
    sent = next.q;
    show(isTyping);
    onChange(filter, isTyping);
  }

  /** @param {boolean} [isTyping] */
  function show(isTyping = false) {
    if (!isTyping && told() !== filter.q.trim()) input.value = filter.q;
    for (const [key, select] of Object.entries(selects)) {
      const value = /** @type {any} */ (filter)[key];
      if (value && ![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
      select.value = value;
      select.classList.toggle("is-set", value !== "");
    }
    if (isActive(filter)) showChips(filter);
    else {
      row.hidden = true;
      setText(more, "Filters");
    }
  }

  /** @param {Filter} mine */
  async function showChips(mine) {
    const { showChips: showThem } = await import("./chips.js");
    if (mine !== filter) return;
    const picked = showThem(row, filter, { change: (next) => { change(next); input.focus(); }, clear });
    setText(more, picked ? `Filters (${picked})` : "Filters");
  }

  function clear() {
    change(cleared(filter));
    input.focus();
  }

  return {
    input, clear,
    isActive: () => isActive(filter),
    /** @param {Filter} next */
    set(next) {
      const isOurs = document.activeElement === input && next.q === sent;
      filter = next;
      sent = next.q;
      show(isOurs);
    },
  };
}
