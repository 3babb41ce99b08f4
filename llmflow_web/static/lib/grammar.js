// @ts-check
/**
 * The text of the filter box, read into terms: the same grammar as the server's wire/grammar.py, held true by the cases both
 * are tested with. Here it serves suggestions and chips; what is found is the server's word. Pure.
 */

/**
 * @typedef {{raw: string, start: number, end: number, kind: "word"|"phrase"|"field", field: string, name: string, op: string,
 *   values: (string|number)[], isNegated: boolean, why: string}} Term `why`: it is searched as text, because of this
 */

/** Words of the box → fields of a row. @type {Record<string, string>} */
export const FIELDS = {
  model: "model", provider: "provider", status: "status", name: "span_name", session: "session_id", conversation: "conversation_id",
  user: "user_id", tag: "tag", source: "source", kind: "span_type", type: "span_type", span: "id", trace: "trace_id",
  service: "service_name", tool: "tool", prompt: "prompt_name", operation: "operation", finish: "finish_reason", agent: "agent_name",
  has: "has", cost: "estimated_cost", duration: "duration_ms", ttft: "ttft_ms", tokens: "total_tokens", spans: "span_count",
  errors: "error_count", since: "timestamp", before: "timestamp", is: "roots",
};

const ALL = /** @type {Record<string, string>} */ ({ ...FIELDS, ...Object.fromEntries(Object.values(FIELDS).filter((field) => !["roots", "timestamp"].includes(field)).map((field) => [field, field])) });

export const KINDS = ["trace", "llm", "agent", "chain", "tool", "retrieval", "embedding", "rerank", "guardrail", "evaluator", "prompt", "event", "custom"];
export const SOURCES = ["proxy", "passthrough", "otlp", "sdk", "import"];
export const HAS = ["tool", "image", "error", "cost"];

const TOKEN = /(-?)(?:"([^"]*)(?:"|$)|([a-z_]+)(>=|<=|[:=<>])(?:\(([^()]*)\)(?=\s|$)|"([^"]*)"(?=\s|$)|([^\s"]\S*))|(\S+))/gi;
const NUMBER = /^\$?(\d+(?:\.\d*)?|\.\d+)([a-z]*)$/i;
const MILLISECONDS = { "": 1, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };
const COUNTS = { "": 1, k: 1e3, m: 1e6 };
const SECONDS = /** @type {Record<string, number>} */ ({ s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 });

class Bad extends Error {}

/** @param {string} text @returns {Term[]} */
export function parse(text) {
  /** @type {Term[]} */
  const terms = [];
  for (const match of text.matchAll(TOKEN)) {
    const [raw, minus, phrase, name, op, group, quoted, value, word] = match;
    if (!raw) continue;
    const base = { raw, start: match.index, end: match.index + raw.length, isNegated: minus === "-", field: "", name: "", op: "=", why: "" };
    const free = phrase ?? word;
    if (free !== undefined) {
      if (free.trim()) terms.push({ ...base, kind: phrase === undefined ? "word" : "phrase", values: [free.trim()] });
      continue;
    }
    try {
      terms.push({ ...base, kind: "field", ...read(name.toLowerCase(), op === ":" ? "=" : op, group, quoted ?? value) });
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      terms.push({ ...base, kind: "phrase", values: [raw.replace(/^-/, "").trim()], why: error.message });
    }
  }
  return terms;
}

/** @param {string} name @param {string} op @param {string|undefined} group @param {string} value */
function read(name, op, group, value) {
  const field = Object.hasOwn(ALL, name) ? ALL[name] : undefined;
  if (!field) throw new Bad(`there is no field “${name}”`);
  const values = group === undefined ? [value] : group.split("|").map((one) => one.trim().replace(/^"+|"+$/g, ""));
  if (!values.every(Boolean)) throw new Bad("a value is missing");
  return (READERS[field] ?? readText)({ name, field, op, values });
}

/** @typedef {{name: string, field: string, op: string, values: string[]}} Written */

/** @param {Written} written */
function onlyEqual({ name, op }) {
  if (op !== "=") throw new Bad(`${name} is compared with : only`);
}

/** @param {Written} written */
function readText(written) {
  onlyEqual(written);
  return written;
}

/** @param {Written} written */
function readStatus(written) {
  onlyEqual(written);
  return { ...written, values: written.values.map((value) => {
    const word = value.trim().toLowerCase();
    if (["ok", "success", "error"].includes(word)) return word === "success" ? "ok" : word;
    if (/^[1-5]xx$/.test(word)) return word;
    if (/^\d{3}$/.test(word)) return Number(word);
    throw new Bad(`status must be ok, success, error, a code such as 429 or a class such as 5xx; got '${value.slice(0, 40)}'`);
  }) };
}

/** @param {string[]} choices */
const oneOf = (choices) => (/** @type {Written} */ written) => {
  onlyEqual(written);
  const values = written.values.map((value) => value.toLowerCase());
  if (!values.every((value) => choices.includes(value))) throw new Bad(`${written.name} is one of ${choices.join(", ")}`);
  return { ...written, values };
};

/** @param {Record<string, number>} units @param {string} example */
const numberWith = (units, example) => (/** @type {Written} */ written) => ({ ...written, values: written.values.map((value) => {
  const match = NUMBER.exec(value);
  const factor = match ? units[match[2].toLowerCase()] : undefined;
  if (!match || factor === undefined) throw new Bad(`${written.name} wants a number such as ${example}`);
  return Number(match[1]) * factor;
}) });

/** @param {Written} written */
function readRoots(written) {
  if (written.op !== "=" || written.values.join() !== "root") throw new Bad("is: knows only root");
  return { ...written, values: [1] };
}

/** A time that is told from now is kept in seconds as "-900". @param {Written} written */
function readTime(written) {
  const { name, op, values: [text, ...more] } = written;
  if (op !== "=" || more.length) throw new Bad(`${name} is written ${name}:15m or ${name}:2026-11-01`);
  const how = name === "since" ? ">=" : "<";
  const match = NUMBER.exec(text);
  const unit = match && SECONDS[match[2].toLowerCase()];
  if (match && unit) return { ...written, op: how, values: [`-${Number(match[1]) * unit}`] };
  return { ...written, op: how, values: [moment(name, text)] };
}

/** @param {string} name @param {string} text */
function moment(name, text) {
  if (/^\d{1,15}(\.\d+)?$/.test(text)) return Math.floor(Number(text));
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const ms = /^\d{4}-\d{2}-\d{2}([T ][\d:.,]+(Z|[+-][\d:]+)?)?$/.test(text) ? Date.parse(isDate || /Z|[+-]\d{2}:?\d{2}$/.test(text.slice(10)) ? text : `${text}Z`) : NaN;
  if (Number.isNaN(ms)) throw new Bad(`${name} must be milliseconds since 1970 or an ISO date; got '${text.slice(0, 40)}'`);
  return ms;
}

/** @type {Record<string, (written: Written) => {name: string, field: string, op: string, values: (string|number)[]}>} */
const READERS = {
  status: readStatus, source: oneOf(SOURCES), span_type: oneOf(KINDS), has: oneOf(HAS), roots: readRoots,
  estimated_cost: numberWith({ "": 1 }, "0.01"), duration_ms: numberWith(MILLISECONDS, "2s"), ttft_ms: numberWith(MILLISECONDS, "800ms"),
  total_tokens: numberWith(COUNTS, "10k"), span_count: numberWith(COUNTS, "20"), error_count: numberWith(COUNTS, "1"), timestamp: readTime,
};
