// @ts-check
/** What `?` shows: every key, the words of the search, and the switch that turns single keys off. */
import { openDialog } from "./dialog.js";
import { h, store } from "./dom.js";
import { isOff } from "./keys.js";

/** Keys by group; two spaces between keys that do the same, or the opposite. @type {[string, [string, string][]][]} */
const KEYS = [
  ["Anywhere", [["?", "This help"], ["/", "Search"], ["Space", "Pause or go on live"], ["t", "Theme: auto, light, dark"], ["r", "Ask again"], ["Ctrl+F", "Our search, then the browser’s"], ["Esc", "Close what is open"]]],
  ["Go to", [["g t", "Traces"], ["g s", "Sessions"], ["g a", "Analytics"], ["g l", "Logs"], ["g m", "Metrics"], ["g o", "Models"], ["g p", "Prompts"], ["g b", "Budgets"], ["g i", "Timeline"], ["g u", "Setup"], ["1 … 9, 0", "The same, in their order"]]],
  ["In the list", [["j  ↓", "Next row"], ["k  ↑", "Previous row"], ["Home  End", "First, last row"], ["PgUp  PgDn", "A page"], ["Enter  →", "Open, go to the trace"], ["Esc", "Back to the list, then clear the filters"],
    ["x", "Select"], ["Shift+↓  Shift+↑", "Select more"], ["c", "Compare the two selected"], ["Del", "Delete"], ["Ctrl+click", "Open in a tab"], ["Alt+click", "Filter by a value, with Shift without it"]]],
  ["In the time strip", [["←  →", "Earlier, later"], ["Shift+←  Shift+→", "Choose a range"], ["Enter", "Filter by it"], ["Del", "Any time"]]],
  ["In a trace", [["1 … 5", "Tabs"], ["[  ]", "Previous, next trace"], ["/", "Find in the trace"], ["Enter  Shift+Enter", "Next, previous match"], ["y", "Copy link"], ["Y", "Copy as cURL"], ["c", "Mark, then compare with the marked"], ["r", "Send the call again"]]],
  ["In the waterfall", [["↑  ↓", "Previous, next span"], ["←  →", "Fold or parent, unfold or child"], ["Home  End", "First, last span"], ["o  O", "Fold all, unfold all"], ["e  E", "Next, previous error"], ["+  -", "Zoom in, out"], ["0", "Whole trace"]]],
];

const WORDS = ["word", '"a phrase"', "-not", "model:gpt-4o", "provider:groq", "status:error", "name:plan*", "session:s1", "user:ada", "tag:x", "has:tool", "kind:agent", "prompt:summary", "source:otlp", "cost>0.01", "duration>2s", "ttft>800ms", "tokens>10k", "spans>20", "since:15m", "before:2026-11-01"];

export function openHelp() {
  const groups = KEYS.map(([name, keys]) => h("section", null, h("h3", null, name),
    h("dl", null, keys.map(([key, text]) => h("div", null, h("dt", null, key.split(/\s{2,}/).map((one) => h("kbd", null, one))), h("dd", null, text))))));
  const on = h("input", { type: "checkbox", checked: !isOff(), onchange: () => store("llmflow-keys", on.checked ? "" : "off") });
  return openDialog("Keyboard and search", h("div", { class: "help", id: "keyboardHelp" }, groups, h("label", { class: "check" }, on, "Single-key shortcuts"),
    h("p", { class: "muted" }, "In the search: ", WORDS.map((word) => [h("code", null, word), " "]), "All must hold; ", h("code", null, "model:(a|b)"), " is either.")));
}
