// @ts-check
/** Tabs after the ARIA pattern: arrows move, the panel is built when it is first looked at. */
import { h, setAttr } from "./dom.js";

/** @typedef {{id: string, label: string, count?: number|null, build: (panel: HTMLElement) => void}} Tab */

/** @param {HTMLElement} el @param {{label: string, tabs: Tab[], onChange: (id: string) => void}} options */
export function mountTabs(el, options) {
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": options.label });
  const panel = h("div", { class: "panel", role: "tabpanel", tabindex: 0, id: "panel" });
  el.append(list, panel);
  let chosen = "";
  const buttons = options.tabs.map((tab) => h("button", {
    type: "button", class: "tab", role: "tab", id: `tab-${tab.id}`, "aria-controls": "panel", tabindex: -1, onclick: () => choose(tab.id, true),
  }, tab.label, tab.count ? h("span", { class: "count" }, tab.count) : null));
  list.append(...buttons);

  /** @param {string} id @param {boolean} [isTold] */
  function choose(id, isTold = false) {
    const at = Math.max(0, options.tabs.findIndex((tab) => tab.id === id));
    const tab = options.tabs[at];
    if (!tab || tab.id === chosen) return;
    chosen = tab.id;
    buttons.forEach((button, i) => {
      setAttr(button, "aria-selected", i === at ? "true" : "false");
      setAttr(button, "tabindex", i === at ? 0 : -1);
    });
    setAttr(panel, "aria-labelledby", `tab-${tab.id}`);
    panel.replaceChildren();
    panel.scrollTop = 0;
    panel.dataset.tab = tab.id;
    tab.build(panel);
    if (isTold) options.onChange(tab.id);
  }

  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const at = options.tabs.findIndex((tab) => tab.id === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + buttons.length) % buttons.length;
    choose(options.tabs[next].id, true);
    buttons[next].focus();
  });

  return {
    choose, panel,
    /** @param {number} n */
    nth: (n) => options.tabs[n] && choose(options.tabs[n].id, true),
    /** Build the shown panel anew. */
    rebuild() {
      const id = chosen;
      chosen = "";
      choose(id);
    },
    get chosen() { return chosen; },
  };
}
