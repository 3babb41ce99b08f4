// @ts-check
/** Two calls side by side: figures, parameters, what was said word by word, and the spans of both trees in one order. */
import { get } from "../feed/api.js";
import { deltaRow, folded, known, signed, tally } from "../lib/diff.js";
import * as format from "../lib/format.js";
import { traceAddress } from "../lib/links.js";
import { kindOf } from "../lib/kinds.js";
import { outcome, title } from "../lib/outcome.js";
import { copyButton, h, icon, notice, time } from "../parts/dom.js";
import { use } from "../parts/keys.js";
import { mountScreen } from "../parts/page.js";
import { table } from "../parts/table.js";

const SPANS_SHOWN = 500;
const SIGNS = /** @type {Record<string, string>} */ ({ same: "=", changed: "≠", added: "+", removed: "−" });

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  const sides = () => /** @type {{a: string, b: string}} */ (state.route.params);
  const swap = () => { const { a, b } = sides(); state.go(`/diff/${encodeURIComponent(b)}/${encodeURIComponent(a)}`, { replace: true }); };
  const screen = mountScreen(el, {
    cls: "diff", styles: ["/css/trace.css"],
    head: [h("h1", null, "Compare"), h("button", { type: "button", class: "button", onclick: swap, title: "Swap the sides (s)" }, "Swap A and B"), copyButton(() => location.href, "Copy link (y)", "Copy link")],
    async ask(signal) {
      try {
        return await get("/api/diff", sides(), signal);
      } catch (error) {
        if (/** @type {any} */ (error).status === 404) return { gone: String(/** @type {any} */ (error).message) };
        throw error;
      }
    },
    show: (body, answer) => (answer.gone ? body.append(notice("One of the two is not here", `${answer.gone} The oldest traces make room for new ones.`, h("a", { class: "button", href: "/traces" }, "All traces"))) : show(body, answer)),
  });
  const keys = use({ s: swap, y: () => { /** @type {HTMLElement|null} */ (screen.page.querySelector(".page-head .button:last-child"))?.click(); } });
  return {
    ...screen,
    unmount() {
      keys();
      screen.unmount();
    },
  };
}

/** @param {HTMLElement} body */
function show(body, answer) {
  const { a, b, deltas, parameters, messages, spans, notes } = answer;
  body.append(...(notes ?? []).map((/** @type {string} */ note) => h("p", { class: "hint" }, note)),
    h("div", { class: "sides" }, side("A", a, b), side("B", b, a)), figures(deltas), parts("Parameters", tally(parameters), parameterTable(parameters)),
    parts("Messages", tally(messages.rows), messageList(messages)), parts("Spans", tally(spans.rows), spanTable(spans, a, b)));
}

/** @param {string} name @param {any} row @param {any} other */
function side(name, row, other) {
  const now = outcome(row);
  return h("section", { class: "card side", "aria-label": `Side ${name}` },
    h("h2", null, h("span", { class: "letter", "aria-hidden": "true" }, name), h("a", { href: traceAddress(row.trace_id, row.parent_id ? row.id : "") }, title(row)), h("span", { class: `outcome ${now.kind}` }, icon(now.icon), now.label)),
    h("p", { class: "muted" }, [row.model, row.provider, row.source].filter(Boolean).map(format.visible).join(" · "), " · ", time(row.timestamp, format.stamp(row.timestamp), format.iso(row.timestamp))),
    row.preview_in ? h("p", { class: "preview", dir: "auto" }, row.preview_in) : null,
    row.replay_of ? h("p", null, [other.id, other.trace_id].includes(row.replay_of) ? `A replay of the other side` : h("a", { href: `/diff/${encodeURIComponent(row.replay_of)}/${encodeURIComponent(row.id)}` }, "A replay: compare with its original")) : null,
    row.error ? h("p", { class: "refusal" }, icon("error"), h("span", null, format.head(format.visible(row.error), 300))) : null);
}

/** @param {any[]} deltas */
function figures(deltas) {
  return table(known(deltas).map(deltaRow), [
    { label: "Figure", isHead: true, cell: (row) => h("span", { class: row.isPart ? "muted" : null }, row.name) }, { label: "A", cls: "num", cell: (row) => row.a }, { label: "B", cls: "num", cell: (row) => row.b },
    { label: "B − A", cls: "num", cell: (row) => [h("span", { class: row.direction > 0 ? "is-more" : row.direction < 0 ? "is-less" : "muted" }, row.delta), row.change ? h("small", null, row.change) : null] },
  ], { label: "Figures of both sides" });
}

/** @param {string} name @param {string} words @param {any} content */
export function parts(name, words, content) {
  return h("section", { class: "part-of", "aria-label": name }, h("h2", { class: "above" }, name, " ", h("span", { class: "muted small" }, words)), content);
}

/** @param {any[]} rows */
export function parameterTable(rows) {
  if (!rows.length) return h("p", { class: "muted" }, "Neither side has parameters.");
  const changed = rows.filter((row) => row.change !== "same");
  const draw = (/** @type {any[]} */ list) => table(list, [
    { label: "Parameter", isHead: true, cell: (row) => h("span", { class: "mono" }, format.visible(row.name)) }, { label: "A", cell: (row) => (row.change === "added" ? absent() : h("span", { class: `mono${row.change === "same" ? "" : " del"}` }, value(row.a))) },
    { label: "B", cell: (row) => (row.change === "removed" ? absent() : h("span", { class: `mono${row.change === "same" ? "" : " ins"}` }, value(row.b))) }, { label: "Change", cell: (row) => changeMark(row.change) },
  ], { label: "Parameters of both sides" });
  const same = rows.length - changed.length;
  const rest = rows.filter((row) => row.change === "same");
  return [changed.length ? draw(changed) : null, same ? lazy(`${format.plural(same, "parameter")} the same`, () => draw(rest)) : null];
}

const absent = () => h("span", { class: "muted" }, "not given");

/** @param {unknown} given */
function value(given) {
  return format.head(format.visible(typeof given === "string" ? given : JSON.stringify(given)), 2000);
}

/** @param {string} change */
function changeMark(change) {
  return h("span", { class: `change ${change}` }, h("span", { "aria-hidden": "true" }, SIGNS[change] ?? ""), " ", change);
}

/** @param {string} words @param {() => any} build */
function lazy(words, build) {
  const details = h("details", { class: "earlier" }, h("summary", null, words));
  details.addEventListener("toggle", () => details.append(h("div", { class: "earlier-body" }, build())), { once: true });
  return details;
}

function messageList({ rows }) {
  if (!rows.length) return h("p", { class: "muted" }, "Neither side has messages.");
  return h("div", { class: "diff-messages" }, folded(rows).map((/** @type {any} */ one) => (Array.isArray(one) ? lazy(`${format.plural(one.length, "message")} the same`, () => one.map(message)) : message(one))));
}

/** Added is underlined, taken away is struck through; both say so to who cannot see it. */
function message(row) {
  const role = format.visible(row.role ?? "message");
  const text = row.ops ? row.ops.map((/** @type {[string, string]} */ [op, words]) => (op === "=" ? words : h(op === "+" ? "ins" : "del", null, words))) : [row.text ?? "", row.is_cut ? h("span", { class: "muted" }, " … (the same to its end)") : null];
  const places = [row.a == null ? null : `A ${row.a + 1}`, row.b == null ? null : `B ${row.b + 1}`].filter(Boolean).join(", ");
  return h("article", { class: `msg is-${row.change}`, data: { role }, "aria-label": `${role} message, ${row.change}` },
    h("header", null, h("h3", null, role), changeMark(row.change), row.change === "changed" && row.similarity != null ? h("span", { class: "muted" }, `${format.percent(row.similarity)} alike`) : null, row.detail && row.detail !== "words" ? h("span", { class: "pill" }, `compared by ${row.detail === "lines" ? "lines" : "the whole"}`) : null,
      h("span", { class: "grow" }), row.part === "output" ? h("span", { class: "pill" }, "answer") : null, h("span", { class: "muted size" }, places)),
    h("div", { class: "msg-body" }, h("div", { class: "plain", dir: "auto" }, text)));
}

/** @param {any} a @param {any} b */
function spanTable({ rows }, a, b) {
  if (rows.length < 2 && rows.every((/** @type {any} */ row) => row.change === "same")) return h("p", { class: "muted" }, "Both are one span.");
  const name = (/** @type {any} */ row) => {
    const cell = h("span", { class: "span-name", data: { kind: kindOf(row.span_type) } }, icon(kindOf(row.span_type)), format.visible(row.name ?? row.span_type ?? "span"), (row.b ?? row.a)?.model ? h("small", null, format.visible((row.b ?? row.a).model)) : null);
    cell.style.paddingLeft = `${Math.min(row.depth, 12) * 14}px`;
    return cell;
  };
  const took = (/** @type {any} */ span, /** @type {any} */ root) => (span ? h("a", { href: traceAddress(root.trace_id, span.id) }, format.duration(span.duration_ms), (span.status ?? 0) >= 400 ? [" ", h("span", { class: "outcome error" }, icon("error"), String(span.status))] : null) : h("span", { class: "muted", title: "Not on this side" }, format.NONE));
  const less = (/** @type {number|null|undefined} */ delta, /** @type {string} */ unit) => h("span", { class: (delta ?? 0) > 0 ? "is-more" : (delta ?? 0) < 0 ? "is-less" : "muted" }, signed(unit, delta ?? null));
  return [
    table(rows.slice(0, SPANS_SHOWN), [
      { label: "Span", isHead: true, cell: name }, { label: "Change", cell: (row) => changeMark(row.change) }, { label: "A", cls: "num", cell: (row) => took(row.a, a) }, { label: "B", cls: "num", cell: (row) => took(row.b, b) },
      { label: "Time", cls: "num", cell: (row) => less(row.deltas?.duration_ms, "ms") }, { label: "Tokens", cls: "num", cell: (row) => less(row.deltas?.total_tokens, "tokens") }, { label: "Cost", cls: "num", cell: (row) => less(row.deltas?.estimated_cost, "USD") },
    ], { label: "Spans of both sides", isError: (row) => (row.b ?? row.a)?.status >= 400 }),
    rows.length > SPANS_SHOWN ? h("p", { class: "muted" }, `The first ${format.count(SPANS_SHOWN)} of ${format.count(rows.length)} spans.`) : null,
  ];
}
