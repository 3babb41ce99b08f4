// @ts-check
/** Everything recorded about a span as tables: what LLMFlow worked out, what was sent, events, links, resource. One filter for all. */
import * as format from "../lib/format.js";
import { copyButton, h, iconButton, time } from "./dom.js";
import { asText, jsonTree } from "./json.js";

const LONG = 200;
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const NOT_SHOWN = new Set(["cost_detail", "preview_in", "preview_out", "notes", "dropped", "counts", "seq", "change", "is_root"]);
/** Columns that the filter bar has a word for. @type {Record<string, string>} */
const FIELDS = { model: "model", provider: "provider", span_name: "name", session_id: "session", user_id: "user", source: "source", span_type: "kind", trace_id: "trace", id: "span", request_model: "model" };

/** @param {HTMLElement} el @param {any} detail @param {{onFilter: (field: string, value: string, isNot: boolean) => void, addressOf: (trace: string, span: string) => string}} options */
export function mountAttributes(el, detail, { onFilter, addressOf }) {
  const otlp = { ...detail.otlp };
  const recorded = Object.entries(detail.trace).filter(([name, value]) => !NOT_SHOWN.has(name) && value != null && value !== "" && !(Array.isArray(value) && !value.length));
  const resource = otlp.resource?.attributes ?? otlp.resource ?? {};
  const scope = { ...(otlp.scope ?? {}), ...(otlp.scope?.attributes ?? {}) };
  delete scope.attributes;
  if (typeof otlp.kind === "number") otlp.kind = KINDS[otlp.kind] ?? otlp.kind;
  const state = Object.fromEntries(["kind", "status", "trace_state", "flags"].filter((name) => otlp[name] != null && otlp[name] !== "").map((name) => [name, otlp[name]]));
  // the API repeats resource, name and kind among the attributes, for those who read only them
  const sent = Object.entries(detail.attributes ?? {}).filter(([name, value]) => !detail.otlp || (name !== "_spanName" && name !== "otel_span_kind" && resource[name] !== value));
  const table = (/** @type {[string, any][]} */ rows) => attributeTable(rows, onFilter);
  const sections = [
    section("Attributes", sent.length ? table(sent) : h("p", { class: "muted" }, "None were sent with this span.")),
    (otlp.events ?? []).length ? section("Events", eventList(otlp.events, detail.trace, table)) : null,
    (otlp.links ?? []).length ? section("Links", linkList(otlp.links, table, addressOf)) : null,
    Object.keys(resource).length ? section("Resource", table(Object.entries(resource))) : null,
    Object.keys(scope).length ? section("Scope", table(Object.entries(scope))) : null,
    Object.keys(state).length ? section("Span", table(Object.entries(state))) : null,
    section("Recorded", attributeTable(recorded, onFilter, true)),
  ];
  const none = h("p", { class: "muted", role: "status", hidden: true }, "Nothing here has these letters.");
  const filter = h("input", { type: "search", "aria-label": "Filter attributes", placeholder: "Filter by name or value", oninput: () => { none.hidden = narrow(body, filter.value) > 0; } });
  const body = h("div", { class: "attributes" }, h("div", { class: "search" }, filter), h("p", { class: "muted small" }, "Alt-click a value to filter the list by it, Alt-Shift-click to leave it out."), sections, none);
  el.append(body);
}

/** @param {string} title */
function section(title, ...content) {
  return h("section", { "aria-label": title }, h("h2", null, title), content);
}

/** @param {[string, any][]} rows @param {(field: string, value: string, isNot: boolean) => void} onFilter @param {boolean} [isOurs] rows of our own columns */
function attributeTable(rows, onFilter, isOurs = false) {
  return h("table", { class: "attrs" }, h("thead", null, h("tr", null, ["Name", "Value", "Actions"].map((name) => h("th", { scope: "col" }, h("span", { class: "sr" }, name))))),
    h("tbody", null, rows.map(([name, value]) => {
      const isPlain = value === null || typeof value !== "object";
      const words = isPlain ? String(value) : null;
      const field = isOurs ? FIELDS[name] : ""; // a column without a word in the search cannot be searched for
      const canFilter = words !== null && words !== "" && words.length < LONG && field !== undefined;
      return h("tr", { data: { words: `${name} ${isPlain ? words : JSON.stringify(value)}`.slice(0, 4000).toLowerCase() } },
        h("th", { scope: "row", class: "mono" }, format.visible(name)),
        h("td", { class: "mono", data: canFilter ? { field, value: words } : {} }, valueNode(name, value)),
        h("td", { class: "acts" }, canFilter ? iconButton("search", `Filter the list by this ${format.visible(name)}`, (event) => onFilter(field, words, event.shiftKey), { class: "ghost small" }) : null, copyButton(() => asText(value ?? ""), `Copy ${format.visible(name)}`)));
    })));
}

/** @param {string} name */
function valueNode(name, value) {
  if (value && typeof value === "object") return jsonTree(value, { open: Object.keys(value).length > 12 ? 0 : 1 });
  if (name === "timestamp" && Number.isFinite(value)) return time(value, `${value} · ${format.iso(value)}`, format.iso(value));
  const text = format.visible(value);
  if (text.length <= LONG) return text;
  return h("details", null, h("summary", null, format.head(text, LONG), "…"), h("div", { class: "plain", dir: "auto" }, format.head(text, 65_536)));
}

/** @param {any[]} events @param {(rows: [string, any][]) => any} table */
function eventList(events, trace, table) {
  return h("ol", { class: "happened" }, events.map((event) => {
    const ms = eventTime(event);
    return h("li", null, h("div", null, h("span", { class: "mono at" }, ms == null ? "" : `+${format.duration(Math.max(0, ms - trace.timestamp))}`), h("strong", null, format.visible(event.name || "event"))),
      Object.keys(event.attributes ?? {}).length ? table(Object.entries(event.attributes)) : null);
  }));
}

/** When an event happened, in ms. @returns {number|null} */
export function eventTime(event) {
  const nanos = event.time_ns ?? event.time_unix_nano ?? event.timeUnixNano;
  if (nanos != null && nanos !== "") return Number(nanos) / 1e6;
  return event.timestamp == null ? null : Number(event.timestamp);
}

/** @param {any[]} links @param {(rows: [string, any][]) => any} table @param {(trace: string, span: string) => string} addressOf */
function linkList(links, table, addressOf) {
  return h("ul", { class: "happened" }, links.map((link) => h("li", null, h("a", { class: "mono", href: addressOf(String(link.trace_id ?? ""), String(link.span_id ?? "")) }, `trace ${format.visible(link.trace_id ?? "")} span ${format.visible(link.span_id ?? "")}`),
    Object.keys(link.attributes ?? {}).length ? table(Object.entries(link.attributes)) : null)));
}

/** Hide what has not all the words. @param {HTMLElement} body @param {string} text @returns {number} how many are left */
function narrow(body, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("tr[data-words]"))) {
    row.hidden = !words.every((word) => row.dataset.words?.includes(word));
    left += row.hidden ? 0 : 1;
  }
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("section"))) part.hidden = words.length > 0 && !part.querySelector("tr[data-words]:not([hidden])");
  return left;
}
