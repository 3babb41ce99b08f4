// @ts-check
/** Making nodes. Text goes in as text only: what models and tools wrote is hostile until proven otherwise. */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node|string|number|null|undefined|false|Kid[]} Kid */

/**
 * An element: `h("button", {class: "ghost", onclick}, "Copy")`. `on…` listens, `data` fills the dataset, false leaves out.
 * @param {string} tag @param {Record<string, any>|null} [props] @param {...Kid} kids @returns {any}
 */
export function h(tag, props, ...kids) {
  return dress(document.createElement(tag), props, kids);
}

/** The same for SVG. @param {string} tag @param {Record<string, any>|null} [props] @param {...Kid} kids @returns {any} */
export function s(tag, props, ...kids) {
  return dress(document.createElementNS(SVG, tag), props, kids);
}

/** @param {Record<string, any>|null|undefined} props @param {Kid[]} kids */
function dress(node, props, kids) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  fill(node, kids);
  return node;
}

/** @param {Node} node @param {Kid} kid */
function fill(node, kid) {
  if (kid == null || kid === false) return;
  if (Array.isArray(kid)) for (const one of kid) fill(node, one);
  else node.appendChild(kid instanceof Node ? kid : document.createTextNode(String(kid)));
}

/** Empty `node` and put these in. @param {Element} node @param {...Kid} kids */
export function put(node, ...kids) {
  node.replaceChildren();
  fill(node, kids);
  return node;
}

/** Set text only where it differs: no layout for nothing. @param {Element} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} node @param {string} name @param {string|number|null|undefined|false} value */
export function setAttr(node, name, value) {
  if (value == null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** @param {string} name */
export function icon(name) {
  // those of the first screen stand in the page, the others in a file that comes when one is needed
  return s("svg", { class: `icon i-${name}`, "aria-hidden": "true" }, s("use", { href: `${document.getElementById(`i-${name}`) ? "" : "/icons.svg"}#i-${name}` }));
}

/** @param {string} name @param {string} label @param {(event: MouseEvent) => void} onclick @param {Record<string, any>} [more] */
export function iconButton(name, label, onclick, more = {}) {
  return h("button", { type: "button", class: "ghost", title: label, "aria-label": label, onclick, ...more }, icon(name));
}

let lastPolite = 0;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let waiting;

/** Tell a screen reader, at most one thing in five seconds; the newest wins. @param {string} text @param {boolean} [urgent] */
export function announce(text, urgent = false) {
  if (urgent) {
    setText(/** @type {Element} */ (document.getElementById("assertive")), text);
    return;
  }
  clearTimeout(waiting);
  const wait = Math.max(0, lastPolite + 5000 - Date.now());
  waiting = setTimeout(() => {
    lastPolite = Date.now();
    setText(/** @type {Element} */ (document.getElementById("polite")), text);
  }, wait);
}

/** @template {any[]} A @param {number} ms @param {(...args: A) => void} run */
export function debounce(ms, run) {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  const later = (/** @type {A} */ ...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), ms);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** @type {Map<string, Promise<void>>} */
const sheets = new Map();

/** Bring a style sheet that the first screen does without; done when it holds. @param {string} path */
export function stylesheet(path) {
  let coming = sheets.get(path);
  if (!coming) {
    coming = new Promise((resolve) => document.head.append(h("link", { rel: "stylesheet", href: path, onload: () => resolve(), onerror: () => resolve() })));
    sheets.set(path, coming);
  }
  return coming;
}

/** @param {string} name @param {string} [otherwise] */
export function stored(name, otherwise = "") {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {string} value */
export function store(name, value) {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch { /* private mode: it lasts as long as the page */ }
}
