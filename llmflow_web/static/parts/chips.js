// @ts-check
/** A chip for everything that is active; one click takes it away. A word that is searched as text says why. */
import { chips, without } from "../lib/chips.js";
import { stamp } from "../lib/format.js";
import { h, icon, put, setAttr, stylesheet } from "./dom.js";

/** @typedef {import("../lib/filter.js").Filter} Filter */

/**
 * @param {HTMLElement} row @param {Filter} filter @param {{change: (filter: Filter) => void, clear: () => void}} act
 * @returns {number} how many of them are not words of the text
 */
export function showChips(row, filter, act) {
  stylesheet("/css/extra.css");
  const active = chips(filter, stamp);
  row.hidden = !active.length;
  put(row, active.map((chip) => h("button", { type: "button", class: "chip", "data-word": chip.key === "q" ? chip.word : null, "aria-label": `Remove filter ${chip.label}`, onclick: () => act.change(without(filter, chip)) }, h("span", null, chip.label), icon("close"))),
    active.length > 1 ? h("button", { type: "button", class: "more", id: "clearFilters", onclick: act.clear }, "Clear all") : null);
  if (/[:=<>]/.test(filter.q)) judge(row, filter.q);
  return active.filter((chip) => chip.key !== "q").length;
}

/** @param {HTMLElement} row @param {string} q */
async function judge(row, q) {
  const { parse } = await import("../lib/grammar.js");
  for (const { raw, why } of parse(q)) {
    const chip = why && [...row.children].find((node) => /** @type {HTMLElement} */ (node).dataset.word === raw);
    if (!chip) continue;
    chip.classList.add("is-warn");
    setAttr(chip, "title", `Searched as text: ${why}`);
  }
}
