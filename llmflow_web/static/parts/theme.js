// @ts-check
/** Light, dark, or as the system has it. boot.js sets what was chosen before the first paint. */
import { announce, icon, put, setAttr, store, stored } from "./nodes.js";

const THEMES = ["auto", "light", "dark"];
const chosen = () => stored("llmflow-theme", "auto");

/** The button says what is chosen. @param {HTMLElement} button */
export function show(button) {
  const label = `Theme: ${chosen()}`;
  setAttr(button, "aria-label", label);
  setAttr(button, "title", `${label} (t)`);
  put(button, icon(chosen()));
}

/** @param {HTMLElement} button */
export function next(button) {
  const theme = THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length];
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  store("llmflow-theme", theme === "auto" ? "" : theme);
  show(button);
  announce(`Theme ${theme}`);
}
