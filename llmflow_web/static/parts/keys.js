// @ts-check
/** The keyboard map: layers of single keys (the newest layer first) and the `g x` sequences. Silent while someone types. */
import { stored } from "./nodes.js";

/** @typedef {Record<string, (event: KeyboardEvent) => void|boolean>} KeyMap return false = not mine, let it go on */

/** @type {KeyMap[]} */
const layers = [];
let prefix = "";
let prefixAt = 0;

/** Add keys until the returned function is called. @param {KeyMap} map @returns {() => void} */
export function use(map) {
  layers.push(map);
  return () => {
    const at = layers.indexOf(map);
    if (at >= 0) layers.splice(at, 1);
  };
}

/** Whether single keys are switched off. */
export function isOff() {
  return stored("llmflow-keys") === "off";
}

/** @param {EventTarget|null} target */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
    || (target instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(target.type));
}

/** @param {KeyboardEvent} event */
function nameOf(event) {
  const isMod = event.ctrlKey || event.metaKey;
  if (event.altKey) return "";
  if (isMod) return event.key.length === 1 ? `mod+${event.key.toLowerCase()}` : "";
  return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  let name = nameOf(event);
  if (!name) return;
  if (isTyping(event.target) && name !== "Escape" && !name.startsWith("mod+")) return;
  const isSingle = name.length === 1;
  if (isSingle && isOff()) return;
  // keys that press the focused button or link are its own
  if ((name === " " || name === "Enter") && event.target instanceof HTMLElement && event.target.closest("button, a, summary, [role=tab]")) return;
  if (prefix && event.timeStamp - prefixAt < 1200 && isSingle) name = `${prefix} ${name}`;
  prefix = "";
  if (name === "g") {
    prefix = name;
    prefixAt = event.timeStamp; // when it was pressed, however late it is heard
    return;
  }
  for (const map of layers.toReversed ? layers.toReversed() : [...layers].reverse()) {
    if (map[name] && map[name](event) !== false) {
      event.preventDefault();
      return;
    }
  }
}

document.addEventListener("keydown", press);
