// @ts-check
/** One text box, four quick choices, a chip for everything active. The grammar is the server's; we send what was typed. */
import { get } from "../feed/api.js";
import { chips, empty, isActive, without } from "../lib/filter.js";
import { stamp } from "../lib/format.js";
import { debounce, h, icon, put } from "./dom.js";

const DEBOUNCE_MS = 150;
const TIMES = [["", "Any time"], ["15m", "15 min"], ["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];

/** @param {HTMLElement} el @param {{onChange: (filter: import("../lib/filter.js").Filter, isTyping: boolean) => void}} options */
export function mountFilterBar(el, { onChange }) {
  let filter = empty();
  const typed = debounce(DEBOUNCE_MS, () => change({ ...filter, q: input.value }, true));
  const input = h("input", { type: "search", "aria-label": "Search traces", placeholder: "Search or model:… cost>0.01", autocomplete: "off", spellcheck: "false", maxlength: 1000, oninput: typed });
  const choice = (key, label, options) => h("select", { "aria-label": label, title: label, onchange: (event) => change({ ...filter, [key]: event.target.value, ...(key === "since" ? { from: "", to: "" } : {}) }) }, options.map(([value, text]) => h("option", { value }, text)));
  const selects = {
    model: choice("model", "Model", [["", "Model"]]),
    provider: choice("provider", "Provider", [["", "Provider"]]),
    status: choice("status", "Status", [["", "Status"], ["success", "OK"], ["error", "Errors"]]),
    since: choice("since", "Time", TIMES),
  };
  const row = h("div", { class: "chips", role: "group", "aria-label": "Active filters", hidden: true });
  el.append(h("div", { class: "filters", role: "search" }, h("div", { class: "search" }, icon("search"), input), Object.values(selects), row));

  function change(next, isTyping = false) {
    typed.cancel();
    filter = next;
    show();
    onChange(filter, isTyping);
  }

  function show() {
    if (document.activeElement !== input || input.value.trim() !== filter.q.trim()) input.value = filter.q;
    for (const [key, select] of Object.entries(selects)) {
      const value = filter[key];
      if (value && ![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
      select.value = value;
      select.classList.toggle("is-set", value !== "");
    }
    const list = chips(filter, stamp);
    row.hidden = !list.length;
    put(row, list.map((chip) => h("button", { type: "button", class: "chip", "aria-label": `Remove filter ${chip.label}`, onclick: () => { change(without(filter, chip)); input.focus(); } }, h("span", null, chip.label), icon("close"))),
      list.length > 1 ? h("button", { type: "button", class: "more", onclick: clear }, "Clear all") : null);
  }

  function clear() {
    change({ ...empty(), sort: filter.sort });
    input.focus();
  }

  async function loadChoices() {
    await Promise.all(["model", "provider"].map(async (key) => {
      const select = selects[key];
      let values = [];
      try {
        const answer = await get("/api/facets", { field: key });
        values = (Array.isArray(answer) ? answer : answer.values).map((one) => one?.value ?? one?.name ?? one).filter((one) => typeof one === "string");
      } catch { /* the choice stays empty; the text box can do it all */ }
      const known = new Set([...select.options].map((option) => option.value));
      select.append(...values.filter((value) => !known.has(value)).map((value) => h("option", { value }, value)));
    }));
  }

  return {
    input, clear, loadChoices,
    isActive: () => isActive(filter),
    count: () => chips(filter).length,
    set(next) {
      filter = next;
      show();
    },
  };
}
