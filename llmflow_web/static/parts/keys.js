// @ts-check
/** The keyboard map: layers of single keys (the newest layer first) and the `g x` sequences. Silent while someone types. */
import { stored } from "./dom.js";

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
  if (isSingle && stored("llmflow-keys") === "off") return;
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

/** What the help shows. @type {[string, [string, string][]][]} */
export const HELP = [
  ["Anywhere", [["/", "Search"], ["?", "This help"], ["t", "Theme: auto, light, dark"], ["Space", "Pause or resume live"], ["r", "Reload"],
    ["g t", "Traces"], ["g s", "Sessions"], ["g a", "Analytics"], ["g o", "Models"], ["g l", "Logs"], ["g m", "Metrics"], ["g i", "Timeline"], ["g u", "Setup"]]],
  ["In a list", [["j  ↓", "Next row"], ["k  ↑", "Previous row"], ["Home  End", "First, last row"], ["PgUp  PgDn", "One page"], ["Enter  →", "Open"], ["Esc", "Close the detail, then clear the search"]]],
  ["In a trace", [["1 … 5", "Tabs"], ["[  ]", "Previous, next trace"], ["y", "Copy link"], ["Y", "Copy as cURL"], ["c", "Mark, then compare with the marked"], ["/", "Find in the trace"], ["Enter  Shift+Enter", "Next, previous match"]]],
  ["In the waterfall", [["↑ ↓", "Previous, next span"], ["← →", "Fold, unfold"], ["o  O", "Fold all, unfold all"], ["e  E", "Next, previous error"], ["+  -", "Zoom in, out"], ["0", "Whole trace"]]],
];
