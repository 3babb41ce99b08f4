// @ts-check
/**
 * LLMFlow's tracing SDK: one ES module without dependencies, for Node 18 and newer, Deno, Bun and browsers.
 * The dashboard serves it at /sdk/llmflow.js, to be copied or imported by its URL.
 *
 * A program never waits for LLMFlow and never hears of it: memory is bounded, what does not fit is dropped and counted,
 * and nothing here throws into the code it watches. Where the runtime has AsyncLocalStorage, the current span follows
 * promises and timers. A browser has none: there a span is current until the first `await`, and behind it the handle that
 * every traced function is given (`async (self) => { … self.span("tool", "search", …) }`) says where things belong.
 */

const MAX_BATCH_SPANS = 200;
const MAX_BATCH_WEIGHT = 4 * 1024 * 1024;
const MAX_WAITING_SPANS = 4000;
const MAX_WAITING_WEIGHT = 32 * 1024 * 1024; // the bytes that spans may hold until they are delivered
const LINGER_MS = 1000; // so long a span waits for others
const POST_TIMEOUT_MS = 5000;
const EXIT_TIMEOUT_MS = 2000; // so long the end of a program waits for LLMFlow
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
const MAX_KEEPALIVE_BYTES = 60 * 1024; // what a browser still sends when its page goes
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

const MAX_CHARS = 256 * 1024; // text kept of one value, all its strings together
const MAX_NODES = 10_000;
const MAX_ITEMS = 1000;
const MAX_DEPTH = 12;
const MAX_LABEL_CHARS = 256;
const MAX_ERROR_CHARS = 16 * 1024;
const MAX_ATTRIBUTE_CHARS = 64 * 1024;
const MAX_ATTRIBUTES = 256;
const MAX_TAGS = 64;
const MAX_ID_CHARS = 128;
const WITHHELD = "[withheld: the redaction hook failed]";
const STATUS_FAILED = 500;
const STATUS_STOPPED = 499;

const INHERITED = ["session_id", "conversation_id", "user_id"]; // what spans take over from the span they begin in
const LABELS = new Set(["span_type", "span_name", "service_name", "provider", "model", "request_model", "operation", "response_id", "finish_reason", "agent_name", "prompt_name", "prompt_version", "tool", ...INHERITED]);
const COUNTS = new Set(["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "status"]);
const NUMBERS = new Set(["estimated_cost", "ttft_ms"]);
const SHORT = { type: "span_type", name: "span_name" };

/** @typedef {Span} SpanHandle */
/** @typedef {Record<string, any>} Fields what can be said of a span, in camelCase or snake_case: model, promptTokens, tags … */
/** @typedef {Fields & {type?: string, name?: string, traceId?: string, parent?: Span | Headers | Record<string, string> | null, input?: unknown, capture?: boolean}} SpanOptions */
/** @typedef {(part: "input"|"output"|"attributes"|"error", value: any) => any} Redact what may leave of a value */
/** @typedef {{url: string, token: string, enabled: boolean, capture: boolean, serviceName: string, redact: Redact | null}} Settings */

const runtime = /** @type {any} */ (globalThis);

// ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @type {Partial<Settings>} */
let given = {};
/** @type {Settings | null} */
let known = null;

/**
 * Set what is given; without arguments, forget what was set. `url`: LLMFlow's dashboard (LLMFLOW_URL, else where this
 * module came from, else http://localhost:3000). `token`: LLMFLOW_TOKEN. `enabled`: LLMFLOW_SDK=off turns all off.
 * `capture`: whether inputs and outputs are recorded. `serviceName`: LLMFLOW_SERVICE_NAME. `redact(part, value)`: called
 * with "input", "output", "attributes" or "error" before a value leaves; returns what may.
 * @param {Partial<Settings>} [options]
 */
export function configure(options) {
  const told = Object.entries(options ?? {}).filter(([, value]) => value !== undefined && value !== null);
  given = options ? { ...given, ...Object.fromEntries(told) } : {};
  known = null;
}

/** Read when first needed: a program may still set its environment after importing us. @returns {Settings} */
function settings() {
  return (known ??= {
    token: variable("LLMFLOW_TOKEN"),
    enabled: !/^(off|0|false|no)$/i.test(variable("LLMFLOW_SDK").trim()),
    capture: true,
    serviceName: variable("LLMFLOW_SERVICE_NAME"),
    redact: null,
    ...given,
    url: place(given.url || variable("LLMFLOW_URL") || home()),
  });
}

/** @param {unknown} url with or without scheme */
function place(url) {
  const text = String(url).replace(/\/+$/, "");
  return text.includes("://") ? text : `http://${text}`;
}

/** @param {string} name */
function variable(name) {
  try {
    return String(runtime.process?.env?.[name] ?? runtime.Deno?.env?.get?.(name) ?? "");
  } catch {
    return ""; // Deno was not allowed to look
  }
}

/** The dashboard this module came from: with what stands before its path there, such as a token. */
function home() {
  return /^(https?:.*)\/sdk\/llmflow\.js(?:[?#]|$)/.exec(import.meta.url ?? "")?.[1] ?? "http://localhost:3000";
}

// ── the current span ─────────────────────────────────────────────────────────────────────────────────────────────────

/** @type {{run: <T>(span: Span | null, fn: () => T) => T, getStore: () => Span | null | undefined}} */
const context = (await asyncContext()) ?? syncContext();

async function asyncContext() {
  try {
    const name = "node:async_hooks";
    const hooks = runtime.process?.getBuiltinModule?.(name) ?? (runtime.process?.versions?.node || runtime.Deno ? await import(/* @vite-ignore */ /* webpackIgnore: true */ name) : null);
    return hooks ? new hooks.AsyncLocalStorage() : null;
  } catch {
    return null;
  }
}

/** What a runtime without AsyncLocalStorage gets: a span is current while its function runs, until the first `await`. */
function syncContext() {
  let current = /** @type {Span | null} */ (null);
  return {
    getStore: () => current,
    run(/** @type {Span | null} */ span, /** @type {() => any} */ fn) {
      const before = current;
      current = span;
      try {
        return fn();
      } finally {
        current = before;
      }
    },
  };
}

/** The span we are in, or null. @returns {Span | null} */
export function getCurrentSpan() {
  return context.getStore() ?? null;
}

/** Headers that put a call under the current span; {} outside of one. @returns {Record<string, string>} */
export function currentTraceHeaders() {
  return getCurrentSpan()?.headers() ?? {};
}

/** A new id. @returns {string} a UUID */
export function generateId() {
  if (runtime.crypto?.randomUUID) return runtime.crypto.randomUUID();
  const hex = randomHex(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const HEX = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));
const pool = new Uint8Array(1024); // random bytes are dear one by one
let used = pool.length;

/** @param {number} bytes */
function randomHex(bytes) {
  if (used + bytes > pool.length) {
    if (runtime.crypto?.getRandomValues) runtime.crypto.getRandomValues(pool);
    else for (let at = 0; at < pool.length; at += 1) pool[at] = Math.random() * 256;
    used = 0;
  }
  let text = "";
  for (let at = used; at < used + bytes; at += 1) text += HEX[pool[at]];
  used += bytes;
  return text;
}

// ── spans ────────────────────────────────────────────────────────────────────────────────────────────────────────────

let anchor = Number.NaN; // the time when performance.now() was 0

/** One timed operation. The function that is traced gets it as its argument. */
export class Span {
  spanId = randomHex(8);
  /** @type {string} */
  traceId;
  /** @type {string | null} */
  parentId = null;
  isOpen = true;
  /** @type {Fields} */
  #fields = {};
  /** @type {Fields} */
  #attributes = {};
  /** @type {string[]} */
  #tags = [];
  #isRoot;
  #capture;
  #started = now();
  #clock = performance.now();

  /** @param {SpanOptions} options @param {boolean} isRoot @param {Span | null} around */
  constructor(options, isRoot, around) {
    const { parent, traceId, capture, ...fields } = options;
    this.#isRoot = isRoot;
    this.#capture = capture ?? settings().capture;
    if (!this.#capture) delete fields.input;
    const above = parent instanceof Span ? parent : parent === undefined && !isRoot ? around : null;
    const told = parent && !(parent instanceof Span) ? idsIn(parent) : {};
    this.traceId = above?.traceId ?? told.traceId ?? foreignId(traceId) ?? randomHex(16);
    this.parentId = above?.spanId ?? told.parentId ?? null;
    if (settings().serviceName) this.#fields.service_name = settings().serviceName;
    for (const name of INHERITED) if (above && name in above.#fields) this.#fields[name] = above.#fields[name];
    this.set(fields);
  }

  get id() {
    return this.spanId;
  }

  /** Whether inputs and outputs of this span are recorded. */
  get captures() {
    return this.#capture;
  }

  /** Say something of the span; a name that is none of ours becomes an attribute. Never throws. @param {Fields} fields */
  set(fields) {
    for (const name of this.isOpen ? keysOf(fields) : []) {
      try {
        this.#put(name, fields[name]);
      } catch {
        this.#attribute(name, "[cannot be shown]");
      }
    }
    return this;
  }

  /** Headers that put a call under this span. @returns {Record<string, string>} */
  headers() {
    const found = /** @type {Record<string, string>} */ ({ "x-trace-id": this.traceId, "x-parent-id": this.spanId });
    if (/^(?!0{32})[0-9a-f]{32}$/.test(this.traceId)) found.traceparent = `00-${this.traceId}-${this.spanId}-01`;
    return found;
  }

  /** Headers that tell LLMFlow the session, conversation and user. @returns {Record<string, string>} */
  labels() {
    return Object.fromEntries(INHERITED.filter((name) => isPlain(this.#fields[name])).map((name) => [`x-llmflow-${name.replace("_", "-")}`, this.#fields[name]]));
  }

  /**
   * Run a step under this span, wherever we are. Arguments as those of `span`.
   * @type {typeof span}
   */
  span = /** @type {any} */ ((/** @type {any[]} */ ...args) => traceCall(readArguments(args), false, this));

  /** Run a function with this span as the current one. @template T @param {() => T} fn @returns {T} */
  run(fn) {
    return context.run(this, fn);
  }

  /** End, with what went wrong, and go to LLMFlow. What is traced by a function ends by itself. @param {unknown} [error] */
  end(error) {
    if (!this.isOpen) return;
    const duration = performance.now() - this.#clock;
    try {
      if (error !== undefined) this.#note(error);
      this.isOpen = false;
      if (sender.isFull) sender.dropped += 1;
      else sender.put(written(this.#posted(duration)));
    } catch {
      this.isOpen = false;
      sender.dropped += 1;
    }
  }

  /** Keep what a function returned, unless an output was set or none is wanted. @param {unknown} value */
  finish(value) {
    try {
      if (this.isOpen && this.#capture && value !== undefined && !("output" in this.#fields)) this.#keep("output", value);
    } catch { /* the span goes without it */ }
    this.end();
  }

  /** The first piece of a stream is here. */
  noteFirst() {
    if (this.#fields.span_type === "llm") this.set({ isStream: true, ttftMs: this.#fields.ttft_ms ?? performance.now() - this.#clock });
  }

  /** @param {string} name @param {any} value */
  #put(name, value) {
    const known = SHORT[/** @type {"name"|"type"} */ (name)] ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (known === "input" || known === "output") this.#keep(known, value);
    else if (known === "tags") this.#tag(value);
    else if (known === "attributes") for (const key of keysOf(value)) this.#attribute(key, value[key]);
    else if (value === null || value === undefined) delete this.#fields[known];
    else if (known === "error") this.#fields.error = errorText(value);
    else if (LABELS.has(known)) this.#fields[known] = String(captured(value)).slice(0, MAX_LABEL_CHARS);
    else if (known === "is_stream") this.#fields.is_stream = Boolean(value);
    else if (COUNTS.has(known) && value >= 0 && value < (known === "status" ? 1000 : 2 ** 53)) this.#fields[known] = Math.trunc(value);
    else if (NUMBERS.has(known) && value >= 0 && value < 2 ** 53) this.#fields[known] = Number(value);
    else this.#attribute(name, value);
  }

  /** @param {"input"|"output"} name @param {unknown} value */
  #keep(name, value) {
    const kept = new Capture().value(value, 0);
    this.#fields[name] = name === "output" && (kept === null || typeof kept !== "object" || Array.isArray(kept)) ? { result: kept } : kept;
  }

  /** @param {string} name @param {unknown} value */
  #attribute(name, value) {
    if (!(name in this.#attributes) && keysOf(this.#attributes).length >= MAX_ATTRIBUTES) return;
    this.#attributes[name] = new Capture(MAX_ATTRIBUTE_CHARS).value(value, 0);
  }

  /** @param {any} value */
  #tag(value) {
    for (const one of typeof value === "string" ? value.split(",") : Array.from(value ?? [])) {
      const text = String(captured(one)).trim().slice(0, MAX_LABEL_CHARS);
      if (text && !this.#tags.includes(text) && this.#tags.length < MAX_TAGS) this.#tags.push(text);
    }
  }

  /** @param {any} error */
  #note(error) {
    const kind = String(attempt(() => error?.name) ?? typeof error);
    this.#fields.error = errorText(error);
    this.#fields.status ??= kind === "AbortError" ? STATUS_STOPPED : STATUS_FAILED;
    this.set({ attributes: { "exception.type": kind } });
    const stack = attempt(() => error?.stack);
    if (typeof stack === "string") this.set({ attributes: { "exception.stacktrace": stack } });
  }

  /** @param {number} duration ms */
  #posted(duration) {
    const attributes = keysOf(this.#attributes).length ? { attributes: this.#attributes } : {};
    const tags = this.#tags.length ? { tags: this.#tags } : {};
    return { id: this.spanId, trace_id: this.traceId, parent_id: this.parentId, span_type: this.#isRoot ? "trace" : "custom", start_time: this.#started, duration_ms: duration, ...this.#fields, ...attributes, ...tags };
  }
}

/** What calls get where the SDK is off, or fails: it takes everything and does nothing. */
class NoSpan extends Span {
  constructor() {
    super({}, false, null);
    this.isOpen = false;
    this.spanId = this.traceId = "";
  }

  set() {
    return this;
  }

  headers() {
    return {};
  }
}

/** @type {NoSpan | null} */
let nothing = null;

/** The time in ms, finer than Date.now() has it, so that steps within one millisecond keep their order. */
function now() {
  const wall = Date.now();
  const ticks = performance.now();
  if (!(Math.abs(anchor + ticks - wall) < 20)) anchor = wall - ticks; // the clock was set, or the machine slept
  return Math.round((anchor + ticks) * 1000) / 1000;
}

/** @param {any} value @returns {string[]} */
function keysOf(value) {
  return value !== null && typeof value === "object" ? Object.keys(value) : [];
}

/** @param {unknown} text */
function isPlain(text) {
  return typeof text === "string" && /^[\x20-\x7e]+$/.test(text);
}

/** @param {unknown} text @returns {string | undefined} */
function foreignId(text) {
  return typeof text === "string" && text.length <= MAX_ID_CHARS && isPlain(text) ? text : undefined;
}

/** Read trace and parent from the headers of a request: ours, else W3C's. @param {any} headers @returns {{traceId?: string, parentId?: string}} */
function idsIn(headers) {
  try {
    const all = new Headers(headers);
    const traceId = foreignId(all.get("x-trace-id"));
    if (traceId) return { traceId, parentId: foreignId(all.get("x-parent-id")) };
    const [, trace_, parent] = /^\w\w-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-/.exec(all.get("traceparent") ?? "") ?? [];
    return trace_ ? { traceId: trace_, parentId: parent } : {};
  } catch {
    return {}; // whatever that is, it names no parent
  }
}

// ── tracing functions ────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Run `fn` as a trace of its own; its result is returned, what it throws goes on.
 * @template T @param {string} name @param {(span: Span) => T} fn @param {SpanOptions} [options] @returns {T}
 */
export function trace(name, fn, options = {}) {
  return traceCall({ options: { type: "trace", name, ...options }, fn }, true);
}

/**
 * Run `fn` as a step inside the current span: `span(type, name, fn, options?)`, `span(type, fn)` or `span(options, fn)`.
 * @type {{<T>(type: string, name: string, fn: (span: Span) => T, options?: SpanOptions): T, <T>(type: string, fn: (span: Span) => T): T, <T>(options: SpanOptions, fn: (span: Span) => T): T}}
 */
export const span = (/** @type {any[]} */ ...args) => traceCall(readArguments(args), false);

/** @param {any[]} args @returns {{options: SpanOptions, fn: (span: Span) => any}} */
function readArguments(args) {
  const at = args.findIndex((one) => typeof one === "function");
  if (at < 0) throw new TypeError("span() takes a type, a name and a function, or options and a function");
  const fn = args[at];
  if (args[0] !== null && typeof args[0] === "object") return { options: args[0], fn };
  const [type, name] = args.slice(0, at);
  return { options: { type, name: name ?? (fn.name || type), ...args[at + 1] }, fn };
}

/**
 * Trace a function at every call: `traced("tool")(fn)`, or as the decorator of a method. Arguments are its input.
 * @param {string} [type] @param {string} [name]
 * @returns {(target: any, key?: any, descriptor?: any) => any}
 */
export function traced(type = "custom", name = undefined) {
  return (target, key, descriptor) => {
    if (descriptor && typeof descriptor.value === "function") return { ...descriptor, value: tracedFunction(descriptor.value, type, name ?? String(key)) };
    return tracedFunction(target, type, name ?? String(key?.name ?? (target.name || type)));
  };
}

/** @param {Function} fn @param {string} type @param {string} name */
function tracedFunction(fn, type, name) {
  /** @this {any} @param {any[]} args */
  function called(...args) {
    return traceCall({ options: { type, name, ...(args.length && settings().capture ? { input: args.length === 1 ? args[0] : args } : {}) }, fn: () => fn.apply(this, args) }, false);
  }
  Object.defineProperty(called, "name", { value: fn.name, configurable: true });
  return called;
}

/** @param {{options: SpanOptions, fn: (span: Span) => any}} call @param {boolean} isRoot @param {Span} [parent] */
function traceCall({ options, fn }, isRoot, parent) {
  const one = begun(options, isRoot, parent);
  if (!one.isOpen) return fn(one);
  let result;
  try {
    result = context.run(one, () => fn(one));
  } catch (error) {
    one.end(error ?? new Error(String(error)));
    throw error;
  }
  return followed(one, result);
}

/** @param {SpanOptions} options @param {boolean} isRoot @param {Span} [parent] @returns {Span} */
function begun(options, isRoot, parent) {
  try {
    if (settings().enabled && !isRedacting) return new Span(parent ? { parent, ...options } : options, isRoot, getCurrentSpan());
  } catch { /* the program goes on without the span */ }
  return (nothing ??= new NoSpan());
}

/** End the span of a call, or let it last as long as what came back: a promise, an iterator, a stream. @param {Span} one @param {any} result */
function followed(one, result) {
  try {
    if (typeof result?.then === "function") return followedPromise(one, result);
  } catch { /* it is the caller's all the same */ }
  return arrived(one, result);
}

/** What a call gave: a stream is watched, all else ends the span. Never throws. @param {Span} one @param {any} value */
function arrived(one, value) {
  try {
    const stream = followedStream(one, value);
    if (stream) return stream;
  } catch { /* it is frozen, or locked: somebody else's */ }
  one.finish(value);
  return value;
}

/** @param {Span} one @param {any} promise */
function followedPromise(one, promise) {
  const failed = (/** @type {any} */ error) => {
    one.end(error ?? new Error(String(error)));
    throw error;
  };
  if (Object.getPrototypeOf(promise) === Promise.prototype) return promise.then((/** @type {any} */ value) => arrived(one, value), failed);
  // A promise of a class of its own stays what it is, and is not begun by us: a query may run at every `then`, and those of
  // the official SDKs read an answer that somebody may want raw.
  if (typeof promise.parse === "function" && typeof promise.asResponse === "function") observeRequest(one, promise, failed);
  else observeThen(one, promise);
  return promise;
}

/** @param {Span} one @param {any} promise @param {(error: any) => never} failed */
function observeRequest(one, promise, failed) {
  const { parse, asResponse } = promise;
  const done = remembered((value) => arrived(one, value));
  let isParsed = false;
  own(promise, "parse", () => {
    isParsed = true;
    return parse.call(promise).then(done, failed);
  });
  own(promise, "asResponse", () => asResponse.call(promise).then((/** @type {any} */ response) => {
    if (!isParsed) one.finish(response);
    return response;
  }, failed));
}

/** @param {Span} one @param {any} promise */
function observeThen(one, promise) {
  const { then } = promise;
  const done = remembered((value) => arrived(one, value));
  own(promise, "then", (/** @type {any} */ ok, /** @type {any} */ bad) => then.call(
    promise,
    (/** @type {any} */ value) => typeof ok === "function" ? ok(done(value)) : done(value),
    (/** @type {any} */ error) => {
      one.end(error ?? new Error(String(error)));
      if (typeof bad === "function") return bad(error);
      throw error;
    },
  ));
}

/** Give an object a method of its own in place of its class's. @param {any} object @param {PropertyKey} name @param {(...args: any[]) => any} value */
function own(object, name, value) {
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
}

/** A function that is asked once, and says the same ever after. @param {(value: any) => any} fn */
function remembered(fn) {
  /** @type {{value: any} | null} */
  let found = null;
  return (/** @type {any} */ value) => (found ??= { value: fn(value) }).value;
}

/** Watch what yields pieces, without taking any: the same object for an iterator, a new one for a ReadableStream. @param {Span} one @param {any} value */
function followedStream(one, value) {
  if (value === null || typeof value !== "object") return null;
  if (runtime.ReadableStream && value instanceof runtime.ReadableStream) return value.locked ? null : watchedStream(one, value);
  if (/^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value))) return watchedIterator(one, value);
  if (typeof value[Symbol.asyncIterator] === "function") return watchedIterable(one, value);
  return null;
}

/** Copies what passes, and ends the span with it. */
class Pieces {
  /** @param {Span} one */
  constructor(one) {
    this.one = one;
    this.capture = new Capture();
    this.items = /** @type {any[]} */ ([]);
    this.count = 0;
  }

  /** @param {any} item */
  add(item) {
    this.count += 1;
    if (this.count === 1) this.one.noteFirst();
    if (this.one.captures && this.capture.hasRoom) this.items.push(this.capture.value(item, 0));
  }

  /** @param {unknown} [error] */
  end(error) {
    const { items, count, one } = this;
    if (count > items.length && items.length) items.push(`… ${count - items.length} more`);
    if (items.length) one.set({ output: items.every((item) => typeof item === "string") ? items.join("") : items });
    one.end(error);
  }

  /** What a step of an iterator gave. Never throws. @param {any} step */
  take(step) {
    try {
      if (!step?.done) this.add(step?.value);
      else if (this.count) this.end();
      else this.one.finish(step.value);
    } catch { /* it passes all the same */ }
    return step;
  }
}

/** @param {Span} one @param {any} iterator a generator or an iterator: its own methods are watched */
function watchedIterator(one, iterator) {
  const pieces = new Pieces(one);
  for (const name of ["next", "return", "throw"]) {
    const original = iterator[name];
    if (typeof original === "function") own(iterator, name, watchedStep(original.bind(iterator), pieces));
  }
  return iterator;
}

/** @param {(...args: any[]) => any} advance @param {Pieces} pieces */
function watchedStep(advance, pieces) {
  return (/** @type {any[]} */ ...args) => {
    const { one } = pieces;
    let step;
    try {
      step = context.run(one, () => advance(...args));
    } catch (error) {
      pieces.end(error ?? new Error(String(error)));
      throw error;
    }
    if (typeof step?.then !== "function") return pieces.take(step);
    return step.then((/** @type {any} */ value) => pieces.take(value), (/** @type {any} */ error) => {
      pieces.end(error ?? new Error(String(error)));
      throw error;
    });
  };
}

/** @param {Span} one @param {any} iterable such as the SDKs' streams: iterated once, by a method of its class */
function watchedIterable(one, iterable) {
  // Theirs make all their iterators, those of tee() too, by a method of the object's own.
  const name = Object.hasOwn(iterable, "iterator") && "controller" in iterable ? "iterator" : Symbol.asyncIterator;
  const original = iterable[name];
  let isFirst = true;
  own(iterable, name, (...args) => {
    const iterator = original.apply(iterable, args);
    if (!isFirst) return iterator;
    isFirst = false;
    return arrivedIterator(one, iterator);
  });
  // Some are listened to instead (openai's `stream()`, Node's streams): their end is the span's, unless somebody iterates.
  if (typeof iterable.once === "function") for (const event of ["end", "close"]) iterable.once(event, () => { if (isFirst) one.end(streamError(iterable)); });
  return iterable;
}

/** @param {Span} one @param {any} iterator */
function arrivedIterator(one, iterator) {
  try {
    return watchedIterator(one, iterator);
  } catch {
    one.end(); // it is frozen, and goes unwatched
    return iterator;
  }
}

/** @param {any} stream whose `errored` is the error, or whether there was one */
function streamError({ errored }) {
  return errored instanceof Error ? errored : errored ? new Error("the stream failed") : undefined;
}

/** @param {Span} one @param {ReadableStream<any>} stream */
function watchedStream(one, stream) {
  const pieces = new Pieces(one);
  const type = takesBuffers(stream) ? "bytes" : undefined;
  const reader = stream.getReader();
  return new ReadableStream(/** @type {any} */ ({
    type,
    async pull(/** @type {any} */ controller) {
      try {
        const step = await context.run(one, () => reader.read());
        pieces.take(step);
        if (!step.done) return controller.enqueue(step.value);
        controller.close();
        controller.byobRequest?.respond(0); // whoever waits with a buffer hears of the end
      } catch (error) {
        pieces.end(error ?? new Error(String(error)));
        throw error;
      }
    },
    cancel(/** @type {any} */ reason) {
      pieces.end();
      return reader.cancel(reason);
    },
  }), { highWaterMark: 0 });
}

/** Whether a stream's readers may bring their own buffers. @param {ReadableStream<any>} stream */
function takesBuffers(stream) {
  try {
    stream.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}

// ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const WRAPPED = Symbol.for("llmflow.wrapped");

/**
 * Have the calls of a client carry the current span: of openai, @anthropic-ai/sdk or @google/genai. That client is
 * changed and returned, no other is. Session, conversation and user go along only where a call goes to LLMFlow.
 * @template C @param {C} client @returns {C}
 */
export function wrap(client) {
  const any = /** @type {any} */ (client);
  const google = any?.apiClient;
  if (typeof google?.apiCall === "function") {
    const call = google.apiCall;
    if (!call[WRAPPED]) google.apiCall = Object.assign((/** @type {any} */ url, /** @type {any} */ init, /** @type {any[]} */ ...rest) => call.call(google, url, withHeaders(url, init), ...rest), { [WRAPPED]: true });
    return client;
  }
  if (typeof any?.fetch !== "function") throw new TypeError("wrap() takes a client of openai, @anthropic-ai/sdk or @google/genai");
  const send = any.fetch;
  if (!send[WRAPPED]) any.fetch = Object.assign((/** @type {any} */ url, /** @type {any} */ init) => send.call(undefined, url, withHeaders(url, init)), { [WRAPPED]: true });
  return client;
}

/** The older name of `wrap`, which also takes whatever has `chat.completions.create`. @template C @param {C} client @returns {C} */
export function wrapOpenAI(client) {
  const completions = /** @type {any} */ (client)?.chat?.completions;
  if (typeof /** @type {any} */ (client)?.fetch === "function" || typeof completions?.create !== "function") return wrap(client);
  const create = completions.create;
  const call = (/** @type {any} */ body, /** @type {any} */ options, /** @type {any[]} */ ...rest) => create.call(completions, body, { ...options, headers: { ...currentTraceHeaders(), ...options?.headers } }, ...rest);
  if (!create[WRAPPED]) completions.create = Object.assign(call, { [WRAPPED]: true });
  return client;
}

/** Add what the call itself does not bring. Never throws. @param {any} url @param {any} init */
function withHeaders(url, init) {
  try {
    const one = getCurrentSpan();
    if (!one?.spanId) return init;
    const headers = new Headers(init?.headers ?? url?.headers);
    const more = { ...one.headers(), ...(isOurs(url) ? one.labels() : {}) };
    for (const [name, value] of Object.entries(more)) if (!headers.has(name)) headers.set(name, value);
    return { ...init, headers };
  } catch {
    return init;
  }
}

/** Whether LLMFlow may be there: labels name people, and are no business of a provider's. @param {any} url */
function isOurs(url) {
  const { hostname } = new URL(typeof url === "string" ? url : url?.url ?? String(url));
  return ["localhost", "127.0.0.1", "[::1]"].includes(hostname) || hostname === new URL(settings().url).hostname;
}

// ── copies of values ─────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {unknown} value */
function captured(value) {
  return new Capture(MAX_LABEL_CHARS).value(value, 0);
}

/** Copies values as JSON has them until its room is used up; one for each input, output and stream. */
class Capture {
  constructor(maxChars = MAX_CHARS) {
    this.chars = maxChars;
    this.nodes = MAX_NODES;
    this.above = new Set();
  }

  get hasRoom() {
    return this.chars > 0 && this.nodes > 0;
  }

  /** @param {any} value @param {number} depth @returns {any} */
  value(value, depth) {
    this.nodes -= 1;
    if (value === null || value === undefined || typeof value === "boolean") return value ?? null;
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    try {
      if (typeof value === "function") return this.text(`<function ${value.name}>`);
      return typeof value === "object" ? this.object(value, depth) : this.text(String(value));
    } catch {
      return "<something that cannot be shown>";
    }
  }

  /** @param {string} text */
  text(text) {
    const room = Math.max(0, this.chars);
    this.chars = room - text.length;
    return text.length <= room ? text : `${text.slice(0, room)}… [${text.length - room} more characters]`;
  }

  /** @param {any} value @param {number} depth */
  object(value, depth) {
    const kind = value.constructor?.name ?? "Object";
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof Error) return this.text(errorText(value));
    if (value instanceof RegExp) return this.text(String(value));
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `<${value.byteLength} bytes>`;
    if (typeof value.then === "function" || (runtime.ReadableStream && value instanceof runtime.ReadableStream) || (runtime.Response && value instanceof runtime.Response)) return `<${kind}>`;
    if (depth >= MAX_DEPTH || this.nodes <= 0) return `… [${kind}]`;
    if (this.above.has(value)) return `<${kind} it is part of>`;
    this.above.add(value);
    try {
      if (typeof value.toJSON === "function") return this.value(value.toJSON(), depth + 1);
      if (Array.isArray(value) || value instanceof Set) return this.items(Array.isArray(value) ? value : [...value], depth);
      return this.pairs(value instanceof Map ? [...value].map(([name, one]) => [String(name), () => one]) : Object.keys(value).map((name) => [name, () => value[name]]), depth);
    } finally {
      this.above.delete(value);
    }
  }

  /** @param {any[]} items @param {number} depth */
  items(items, depth) {
    const found = [];
    for (const item of items.slice(0, MAX_ITEMS)) {
      found.push(this.value(item, depth + 1));
      if (!this.hasRoom) break;
    }
    if (items.length > found.length) found.push(`… ${items.length - found.length} more`);
    return found;
  }

  /** @param {any[]} pairs @param {number} depth */
  pairs(pairs, depth) {
    /** @type {Record<string, any>} */
    const found = {};
    let count = 0;
    for (const [key, read] of pairs.slice(0, MAX_ITEMS)) {
      const name = key.length > MAX_LABEL_CHARS ? `${key.slice(0, MAX_LABEL_CHARS)}…` : key;
      this.chars -= name.length;
      const shown = this.value(attempt(read), depth + 1);
      Object.defineProperty(found, name, { value: shown, enumerable: true, configurable: true, writable: true }); // "__proto__" is a name like any other
      count += 1;
      if (!this.hasRoom) break;
    }
    if (pairs.length > count) found["…"] = `${pairs.length - count} more`;
    return found;
  }
}

/** @param {() => any} read a getter may throw */
function attempt(read) {
  try {
    return read();
  } catch {
    return "<something that cannot be shown>";
  }
}

/** @param {any} error */
function errorText(error) {
  try {
    const text = error instanceof Error ? `${error.name}${error.message ? `: ${error.message}` : ""}` : typeof error === "string" ? error : JSON.stringify(captured(error));
    return text.slice(0, MAX_ERROR_CHARS);
  } catch {
    return "an error that cannot be shown";
  }
}

// ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes spans as they are written and posts them in batches, in the background. */
class Sender {
  /** @type {{text: string, weight: number}[]} */
  waiting = [];
  weight = 0;
  sent = 0;
  dropped = 0;
  rejected = 0;
  failedAttempts = 0;
  failedAt = -Infinity;
  #failures = 0; // in a row
  /** @type {Promise<void> | null} */
  #sending = null;
  /** @type {AbortController | null} of the post that is under way */
  #open = null;
  /** @type {any} */
  #timer = null;
  #isDue = 0; // when the timer goes off
  #hasSpoken = false;

  get isFull() {
    return this.waiting.length >= MAX_WAITING_SPANS;
  }

  /** @param {string} text */
  put(text) {
    const weight = text.length * (/[\u0100-\uffff]/.test(text) ? 2 : 1); // as engines hold it
    if (this.weight + weight > MAX_WAITING_WEIGHT) {
      this.dropped += 1;
      return;
    }
    this.waiting.push({ text, weight });
    this.weight += weight;
    if (!this.#failures) this.#wake(this.waiting.length >= MAX_BATCH_SPANS ? 0 : LINGER_MS);
  }

  /** Send what waits, for at most `ms`; whether all of it arrived. @param {number} ms @returns {Promise<boolean>} */
  async flush(ms) {
    const lost = this.dropped + this.rejected;
    const attempts = this.failedAttempts;
    let isOver = false;
    const over = new Promise((resolve) => { later(() => resolve(isOver = true), ms); });
    while (this.waiting.length && this.failedAttempts === attempts && !isOver) {
      this.#sleep();
      await Promise.race([over, (this.#sending ??= this.#send())]);
    }
    return !this.waiting.length && this.dropped + this.rejected === lost;
  }

  /** Give up the post that is under way: an open one would hold a program that wants to end. */
  async abort() {
    this.#open?.abort();
    await this.#sending;
  }

  /** The page goes: a browser still sends a little by itself. What is not answered any more is sent again if the page stays. */
  leave() {
    const { spans, body } = this.#batch(MAX_KEEPALIVE_BYTES);
    if (!spans.length) return;
    this.#request(body, { keepalive: true }).then((/** @type {Response} */ answer) => { if (answer.ok) this.sent += this.#take(spans); }).catch(() => {});
  }

  /** @param {number} ms */
  #wake(ms) {
    const due = performance.now() + ms;
    if (this.#sending || (this.#timer && this.#isDue <= due)) return;
    this.#sleep();
    this.#isDue = due;
    this.#timer = later(() => {
      this.#timer = null;
      this.#sending ??= this.#send();
    }, ms);
  }

  #sleep() {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #send() {
    await null; // so that whoever began this has noted it
    const { spans, body } = this.#batch(MAX_BATCH_WEIGHT);
    let pause = 0;
    try {
      if (spans.length) pause = await this.#post(spans, body);
    } finally {
      this.#sending = null;
      if (this.waiting.length) this.#wake(pause || (this.waiting.length >= MAX_BATCH_SPANS ? 0 : LINGER_MS));
    }
  }

  /** The oldest spans that go into one post. @param {number} room */
  #batch(room) {
    const spans = [];
    let weight = 0;
    for (const one of this.waiting.slice(0, MAX_BATCH_SPANS)) {
      weight += one.weight;
      if (spans.length && weight > room) break;
      spans.push(one);
    }
    return { spans, body: `{"spans":[${spans.map((one) => one.text).join(",")}]}` };
  }

  /** @param {string} body @param {RequestInit} more @returns {Promise<Response>} */
  async #request(body, more) {
    const { token, url } = settings();
    const headers = { "content-type": "application/json", ...(token ? { "x-llmflow-token": token } : {}) };
    // No span of the program's is ours; and what was meant for one place goes to no other.
    return context.run(null, () => runtime.fetch(`${url}/api/spans`, { method: "POST", headers, body, redirect: "manual", ...more }));
  }

  /** Post a batch; how long to wait before the next attempt where it did not arrive. @param {any[]} spans @param {string} body @returns {Promise<number>} ms */
  async #post(spans, body) {
    const abort = (this.#open = new AbortController());
    const timer = later(() => abort.abort(), POST_TIMEOUT_MS);
    try {
      const answer = await this.#request(body, { signal: abort.signal });
      if (RETRIED.has(answer.status)) return this.#failed(`answers ${answer.status}`, Number(answer.headers.get("retry-after")) * 1000);
      return this.#settle(spans, answer.status, await answer.json().catch(() => null));
    } catch (error) {
      return this.#failed(`does not answer (${/** @type {any} */ (error)?.cause?.code ?? /** @type {any} */ (error)?.name})`, 0);
    } finally {
      clearTimeout(timer);
      this.#open = null;
    }
  }

  /** A batch was judged. @param {any[]} spans @param {number} status @param {any} told @returns {number} ms */
  #settle(spans, status, told) {
    this.#take(spans);
    if (!Number.isInteger(told?.stored) || !Number.isInteger(told?.rejected)) {
      this.rejected += spans.length;
      this.#failed(`does not take spans (status ${status})`, 0); // not LLMFlow, or not for us: ask seldom
      return MAX_PAUSE_MS;
    }
    this.#failures = 0;
    this.sent += told.stored;
    this.rejected += told.rejected;
    if (told.rejected) this.#say(`${told.rejected} spans were refused: ${told.results?.find((/** @type {any} */ one) => one.error)?.error}`);
    return 0;
  }

  /** @param {string} what @param {number} asked ms */
  #failed(what, asked) {
    this.failedAttempts += 1;
    this.failedAt = performance.now();
    this.#failures += 1;
    this.#say(`${settings().url} ${what}: spans wait in memory, at most ${MAX_WAITING_SPANS}; LLMFLOW_SDK=off turns them off`);
    return Math.min(MAX_PAUSE_MS, Math.max(asked || 0, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 10)));
  }

  /** @param {any[]} spans */
  #take(spans) {
    const gone = new Set(spans);
    const before = this.waiting.length;
    for (const one of this.waiting) if (gone.has(one)) this.weight -= one.weight;
    this.waiting = this.waiting.filter((one) => !gone.has(one));
    return before - this.waiting.length;
  }

  /** One line is all that is ever said. @param {string} text */
  #say(text) {
    if (this.#hasSpoken) return;
    this.#hasSpoken = true;
    runtime.console?.warn?.(`[llmflow] ${text}`);
  }
}

/** A timer that does not keep a program from ending. @param {() => void} fn @param {number} ms @returns {any} */
function later(fn, ms) {
  const timer = /** @type {any} */ (setTimeout(fn, ms));
  if (typeof timer === "number") runtime.Deno?.unrefTimer?.(timer);
  else timer.unref?.();
  return timer;
}

let isRedacting = false;

/** A span as it is posted, after the user's own hook. As text at once: a piece of a long string would hold the whole of it. @param {any} span */
function written(span) {
  const { redact } = settings();
  isRedacting = true; // what the hook calls is not traced
  try {
    for (const part of redact ? /** @type {const} */ (["input", "output", "attributes", "error"]) : []) {
      if (span[part] !== undefined) span[part] = redacted(redact, part, span[part]);
    }
  } finally {
    isRedacting = false;
  }
  return JSON.stringify(span);
}

/** @param {Redact | null} redact @param {"input"|"output"|"attributes"|"error"} part @param {any} value */
function redacted(redact, part, value) {
  let shown;
  try {
    shown = new Capture().value(redact?.(part, value), 0);
  } catch {
    shown = WITHHELD; // what the hook could not judge does not leave
  }
  return part === "attributes" && (shown === null || typeof shown !== "object" || Array.isArray(shown)) ? { redacted: shown } : shown;
}

const sender = new Sender();

/** Send what waits now, for at most `timeoutMs`; whether all of it arrived. @param {number} [timeoutMs] @returns {Promise<boolean>} */
export function flush(timeoutMs = POST_TIMEOUT_MS) {
  return sender.flush(timeoutMs).catch(() => false);
}

/** How many spans wait, were sent, were dropped here and rejected there, and failed attempts. */
export function stats() {
  return { waiting: sender.waiting.length, sent: sender.sent, dropped: sender.dropped, rejected: sender.rejected, failedAttempts: sender.failedAttempts };
}

/** Nothing else is left to do: what waits is sent, and where that fails, or just did, the program ends all the same. */
async function beforeExit() {
  if (!sender.waiting.length || performance.now() - sender.failedAt < EXIT_TIMEOUT_MS) return;
  await flush(EXIT_TIMEOUT_MS);
  if (sender.waiting.length) await sender.abort();
}

runtime.process?.on?.("beforeExit", beforeExit);
runtime.document?.addEventListener?.("visibilitychange", () => { if (runtime.document.visibilityState === "hidden") sender.leave(); });
runtime.addEventListener?.("pagehide", () => sender.leave());
