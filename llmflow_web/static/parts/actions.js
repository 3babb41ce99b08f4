// @ts-check
/** What can be done with a trace: copy it as code, share it, take it away, compare it, delete it. */
import { config, send } from "../feed/more.js";
import { visible } from "../lib/format.js";
import { title } from "../lib/outcome.js";
import { announce, copy, h, icon } from "./dom.js";
import { isMarked, mark, marked } from "./marked.js";

/** @param {{detail: any, trace: string, state: import("../state.js").State, close: () => void}} given */
export function actionMenu(given) {
  const { detail, trace } = given;
  const item = (/** @type {string} */ label, /** @type {() => any} */ run, cls = "") => h("button", { type: "button", class: cls, onclick: async () => { details.open = false; await run(); } }, label);
  const away = (/** @type {string} */ label, /** @type {string} */ format, /** @type {string} */ ending) => h("a", { href: `/api/traces/export?${new URLSearchParams({ format, trace_id: trace })}`, download: `trace-${safeName(trace)}.${ending}` }, label);
  const items = () => [
    detail.request?.method ? CODES.map(([label, as]) => item(`Copy as ${label}`, () => copyAs(detail, as))) : null,
    item("Copy link", () => copy(location.href)),
    item("Send again…", () => again(given)),
    h("hr", null),
    away("Export JSON", "json", "json"), away("Export OTLP", "otlp", "otlp.json"), away("Export one HTML file", "html", "html"),
    h("a", { href: `/api/traces/${encodeURIComponent(detail.trace.id)}?${new URLSearchParams({ trace_id: trace })}`, download: `span-${safeName(detail.trace.id)}.json` }, "This span as JSON"),
    h("hr", null),
    item(isMarked(trace) ? "Take the mark away" : marked().length ? "Compare with the marked one" : "Mark to compare", () => compare(given)),
    item("Delete…", () => remove(given), "is-danger"),
  ];
  const box = h("div", null);
  const details = h("details", { class: "menu" }, h("summary", { class: "ghost", "aria-label": "Copy, export, compare, delete", title: "Copy, export, compare, delete" }, icon("more")), box);
  details.addEventListener("toggle", () => { if (details.open) box.replaceChildren(...items().flat(2).filter(Boolean)); });
  details.addEventListener("focusout", (event) => { if (event.relatedTarget && !details.contains(event.relatedTarget)) details.open = false; });
  details.addEventListener("keydown", (event) => onKey(event, details, box));
  return details;
}

/** Arrows move through an open menu, Esc closes it. @param {KeyboardEvent} event @param {HTMLDetailsElement} details @param {HTMLElement} box */
function onKey(event, details, box) {
  if (!details.open) return;
  const all = /** @type {HTMLElement[]} */ ([...box.querySelectorAll("button, a")]);
  const now = all.indexOf(/** @type {any} */ (document.activeElement));
  const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }[event.key];
  if (event.key === "Escape") {
    details.open = false;
    /** @type {HTMLElement} */ (details.firstElementChild).focus();
  } else if (to !== undefined) all[(to + all.length) % all.length].focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** @type {[string, "asCurl"|"asPython"|"asJavaScript"][]} */
const CODES = [["cURL", "asCurl"], ["Python", "asPython"], ["JavaScript", "asJavaScript"]];

/** @param {any} detail @param {"asCurl"|"asPython"|"asJavaScript"} as */
export async function copyAs(detail, as) {
  if (!detail?.request?.method) {
    announce("No request was recorded for this span.", true);
    return;
  }
  const [code, { proxy_port: port }] = await Promise.all([import("../lib/code.js"), config()]);
  const { request, trace } = detail;
  const name = (trace.provider ?? "openai").replace(/[^a-z0-9]/gi, "_").toUpperCase();
  const text = code[as]({ method: request.method, url: `http://${location.hostname || "localhost"}:${port}${request.path ?? "/v1/chat/completions"}${request.query ? `?${request.query}` : ""}`, headers: request.headers ?? {}, body: await wholeBody(detail), keyName: `${name}_API_KEY` });
  await copy(text);
}

/** @param {{detail: any, state: import("../state.js").State}} given */
export async function again(given) {
  await (await import("./again.js")).sendAgain(given);
}

/** A long body came by its head only: the code must have all of it. */
async function wholeBody({ request, trace }) {
  if (!request.is_partial) return request.body;
  const { Body } = await import("./body.js");
  return (await fetch(new Body(request, "request", trace).address)).text();
}

/** Mark the first, then compare with it. @param {{trace: string, state: import("../state.js").State}} given */
export function compare({ trace, state }) {
  const [other] = marked().filter((one) => one !== trace);
  if (other) {
    mark(other, false);
    mark(trace, false);
    state.go(`/diff/${encodeURIComponent(other)}/${encodeURIComponent(trace)}`);
    return;
  }
  mark(trace, !isMarked(trace));
  announce(isMarked(trace) ? "Marked. Open another trace and press c to compare the two." : "Mark taken away.", true);
}

/** @param {{detail: any, trace: string, close: () => void}} given */
async function remove({ detail, trace, close }) {
  const { openDialog } = await import("./dialog.js");
  const failed = h("p", { class: "hint", role: "alert", hidden: true });
  const cancel = h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Cancel");
  const yes = h("button", { type: "button", class: "button danger", onclick: async () => {
    yes.disabled = true;
    try {
      await send("DELETE", `/api/traces/${encodeURIComponent(trace)}`);
      dialog.close();
      close();
      announce("Deleted", true);
    } catch (error) {
      failed.textContent = `It was not deleted: ${/** @type {Error} */ (error).message}`;
      failed.hidden = false;
      yes.disabled = false;
    }
  } }, "Delete");
  const dialog = openDialog("Delete this trace?", h("div", { class: "confirm" }, h("p", null, h("strong", null, title(detail.trace)), " and everything recorded under trace ", h("span", { class: "mono" }, visible(trace)), " will be gone for good."), failed, h("div", { class: "confirm-tools" }, cancel, yes)));
  cancel.focus();
}

/** @param {string} id */
function safeName(id) {
  return id.replace(/[^\w-]+/g, "_").slice(0, 40);
}
