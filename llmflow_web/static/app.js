// @ts-check
/** The frame: which screen an address means, the header, the keys that work everywhere. */
import { get } from "./feed/api.js";
import * as format from "./lib/figures.js";
import { announce, h, put, setAttr, setText, stored, stylesheet } from "./parts/nodes.js";
import { use } from "./parts/keys.js";
import { State } from "./state.js";

/** @typedef {{update?: (route: import("./state.js").Route) => void, unmount?: () => void, reload?: () => void}} View */

/** @type {{pattern: RegExp, names: string[], title: string, load: () => Promise<{mount: (el: HTMLElement, state: State) => View}>}[]} */
const SCREENS = [
  { pattern: /^\/traces(?:\/([^/]+))?$/, names: ["trace"], title: "Traces", load: () => import("./views/traces.js") },
  { pattern: /^\/sessions(?:\/([^/]+))?$/, names: ["session"], title: "Sessions", load: () => import("./views/sessions.js") },
  { pattern: /^\/analytics$/, names: [], title: "Analytics", load: () => import("./views/analytics.js") },
  { pattern: /^\/models$/, names: [], title: "Models", load: () => import("./views/models.js") },
  { pattern: /^\/prompts(?:\/([^/]+))?$/, names: ["prompt"], title: "Prompts", load: () => import("./views/prompts.js") },
  { pattern: /^\/budgets$/, names: [], title: "Budgets", load: () => import("./views/budgets.js") },
  { pattern: /^\/(timeline|logs|metrics)$/, names: ["kind"], title: "", load: () => import("./views/telemetry.js") },
  { pattern: /^\/diff\/([^/]+)\/([^/]+)$/, names: ["a", "b"], title: "Compare", load: () => import("./views/diff.js") },
  { pattern: /^\/setup$/, names: [], title: "Setup", load: () => import("./views/setup.js") },
];

const state = new State();
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
/** @type {{screen: typeof SCREENS[number], view: View}|null} */
let current = null;
let turn = 0;

async function show() {
  const path = location.pathname === "/" || location.pathname === "/index.html" ? "/traces" : location.pathname.replace(/(.)\/$/, "$1");
  const screen = SCREENS.find((one) => one.pattern.test(path));
  const mine = (turn += 1);
  if (!screen) {
    leave();
    put(main, (await import("./parts/dom.js")).lost());
    return;
  }
  const found = /** @type {RegExpExecArray} */ (screen.pattern.exec(path));
  /** @type {Record<string, string>} */
  const params = {};
  screen.names.forEach((name, i) => { if (found[i + 1]) params[name] = decoded(found[i + 1]); });
  state.route = { path, search: location.search, params };
  markNav(path);
  document.title = `${screen.title || capital(params.kind)} · LLMFlow`;
  if (current?.screen === screen) {
    current.view.update?.(state.route);
    return;
  }
  try {
    const [module] = await Promise.all([screen.load(), screen.title !== "Traces" && stylesheet("/css/parts.css")]); // the list does without
    if (mine !== turn) return;
    leave();
    const el = h("div", { class: "screen" });
    main.replaceChildren(el);
    current = { screen, view: module.mount(el, state) };
    current.view.update?.(state.route);
  } catch (error) {
    if (mine !== turn) return;
    leave();
    put(main, (await import("./parts/dom.js")).failure(error, () => location.reload()));
    console.error(error);
  }
}

/** @param {string} [word] */
function capital(word = "") {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function leave() {
  current?.view.unmount?.();
  current = null;
}

/** @param {string} path */
function markNav(path) {
  const root = `/${path.split("/")[1]}`;
  for (const link of document.querySelectorAll(".nav a")) setAttr(link, "aria-current", link.getAttribute("href") === root ? "page" : null);
  const nav = /** @type {HTMLElement} */ (document.querySelector(".nav"));
  const link = /** @type {HTMLElement|null} */ (nav.querySelector("[aria-current]"));
  if (link && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
}

// ---- theme
const themeButton = /** @type {HTMLElement} */ (document.getElementById("theme"));
const theme = () => import("./parts/theme.js");
const nextTheme = async () => (await theme()).next(themeButton);

// ---- totals in the header
function showStats() {
  const stats = state.stats ?? {};
  const values = { requests: format.compact(stats.total_requests), tokens: format.compact(stats.total_tokens), cost: format.costSum(stats.total_cost, stats.unpriced_count), latency: format.duration(stats.avg_duration) };
  for (const [name, text] of Object.entries(values)) setText(/** @type {Element} */ (document.querySelector(`[data-stat="${name}"]`)), text);
}

async function loadStats() {
  try {
    state.setStats(await get("/api/stats"));
  } catch { /* the live button says that nobody answers */ }
}

// ---- live button
const liveButton = /** @type {HTMLElement} */ (document.getElementById("live"));

function showLive() {
  const { live } = state;
  const wait = Math.max(1, Math.ceil((live.retryAt - Date.now()) / 1000));
  const texts = {
    connecting: ["Connecting", "Connecting to the server"],
    live: ["Live", "Live. Press to pause"],
    polling: ["Live", "Asking every 3 seconds. Press to pause"],
    paused: [live.missed ? `Paused · ${live.missed} new` : "Paused", "Paused. Press to resume"],
    offline: [`Offline · ${wait} s`, "Offline. Press to try again now"],
  };
  const [text, title] = texts[live.state];
  liveButton.dataset.state = live.state;
  setText(/** @type {Element} */ (liveButton.querySelector("span")), text);
  setAttr(liveButton, "title", title);
  setAttr(liveButton, "aria-pressed", live.state === "paused" ? "true" : "false");
}

let lastState = "";
state.live.addEventListener("state", () => {
  showLive();
  if (state.live.state !== lastState && ["offline", "paused"].includes(state.live.state)) announce(state.live.state === "offline" ? "Offline" : "Paused");
  lastState = state.live.state;
});
setInterval(() => { if (state.live.state === "offline") showLive(); }, 1000);
state.live.addEventListener("stats", (event) => state.setStats(/** @type {CustomEvent} */ (event).detail));
state.live.addEventListener("refresh", loadStats);
state.addEventListener("stats", showStats);

// ---- moving about
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || link.target || link.hasAttribute("download") || link.pathname.startsWith("/api/")) return;
  if (link.getAttribute("href") === "#main") {
    event.preventDefault();
    main.focus();
    return;
  }
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  state.go(link.pathname + link.search + link.hash);
});
addEventListener("popstate", () => {
  state.isBack = true;
  state.dispatchEvent(new Event("route"));
});
state.addEventListener("route", show);

// Alt-click on any value that can be filtered by asks for it, with Shift for everything but it
document.addEventListener("click", (event) => {
  const value = event.altKey && event.target instanceof Element ? /** @type {HTMLElement|null} */ (event.target.closest("[data-term]")) : null;
  if (!value) return;
  event.preventDefault();
  event.stopPropagation();
  const word = String(value.dataset.term);
  if (state.route.path.startsWith("/traces")) state.dispatchEvent(new CustomEvent("term", { detail: { word, isExcluded: event.shiftKey } }));
  else state.go(`/traces?${new URLSearchParams({ q: event.shiftKey ? `-${word}` : word })}`);
}, true);

const openHelp = async () => (await import("./parts/help.js")).openHelp();
/** The n-th screen; within a trace these keys are its tabs. @param {number} n */
const goNth = (n) => () => {
  const link = document.querySelectorAll(".nav a")[n - 1];
  if (!link || document.querySelector(".split.is-open")) return false;
  state.go(String(link.getAttribute("href")));
  return true;
};

use({
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9, 0].map((n) => [n, goNth(n || 10)])),
  "?": openHelp,
  t: nextTheme,
  " ": () => state.live.toggle(),
  r: () => { current?.view.reload?.(); loadStats(); },
  "g t": () => state.go("/traces"), "g s": () => state.go("/sessions"), "g a": () => state.go("/analytics"), "g o": () => state.go("/models"), "g p": () => state.go("/prompts"), "g b": () => state.go("/budgets"),
  "g l": () => state.go("/logs"), "g m": () => state.go("/metrics"), "g i": () => state.go("/timeline"), "g u": () => state.go("/setup"),
});
themeButton.addEventListener("click", nextTheme);
liveButton.addEventListener("click", () => state.live.toggle());
/** @type {HTMLElement} */ (document.getElementById("help")).addEventListener("click", openHelp);

if (stored("llmflow-theme")) theme().then(({ show: showTheme }) => showTheme(themeButton));
if (matchMedia("(forced-colors: active)").matches) stylesheet("/css/forced.css");
if (location.hash.length > 1 && location.pathname === "/") {
  import("./lib/hash.js").then(({ pathFromHash }) => {
    history.replaceState(null, "", pathFromHash(location.hash) ?? "/traces");
    show();
  });
} else show();
loadStats();
state.live.start();
