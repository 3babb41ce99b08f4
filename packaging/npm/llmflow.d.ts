/**
 * LLMFlow's tracing SDK: one ES module without dependencies, for Node 18 and newer, Deno, Bun and browsers.
 * The dashboard serves it at /sdk/llmflow.js, to be copied or imported by its URL.
 *
 * A program never waits for LLMFlow and never hears of it: memory is bounded, what does not fit is dropped and counted,
 * and nothing here throws into the code it watches. Where the runtime has AsyncLocalStorage, the current span follows
 * promises and timers. A browser has none: there a span is current until the first `await`, and behind it the handle that
 * every traced function is given (`async (self) => { … self.span("tool", "search", …) }`) says where things belong.
 */
export type SpanHandle = Span;
export type Fields = Record<string, any>;
export type SpanOptions = Fields & {
    type?: string;
    name?: string;
    traceId?: string;
    parent?: Span | Headers | Record<string, string> | null;
    input?: unknown;
    capture?: boolean;
};
export type Redact = (part: "input" | "output" | "attributes" | "error", value: any) => any;
export type Settings = {
    url: string;
    token: string;
    enabled: boolean;
    capture: boolean;
    serviceName: string;
    redact: Redact | null;
};
/**
 * Set what is given; without arguments, forget what was set. `url`: LLMFlow's dashboard (LLMFLOW_URL, else where this
 * module came from, else http://localhost:3000). `token`: LLMFLOW_TOKEN. `enabled`: LLMFLOW_SDK=off turns all off.
 * `capture`: whether inputs and outputs are recorded. `serviceName`: LLMFLOW_SERVICE_NAME. `redact(part, value)`: called
 * with "input", "output", "attributes" or "error" before a value leaves; returns what may.
 * @param {Partial<Settings>} [options]
 */
export declare function configure(options?: Partial<Settings>): void;
/** The span we are in, or null. @returns {Span | null} */
export declare function getCurrentSpan(): Span | null;
/** Headers that put a call under the current span; {} outside of one. @returns {Record<string, string>} */
export declare function currentTraceHeaders(): Record<string, string>;
/** A new id. @returns {string} a UUID */
export declare function generateId(): string;
/** One timed operation. The function that is traced gets it as its argument. */
export declare class Span {
    #private;
    spanId: string;
    /** @type {string} */
    traceId: string;
    /** @type {string | null} */
    parentId: string | null;
    isOpen: boolean;
    /** @param {SpanOptions} options @param {boolean} isRoot @param {Span | null} around */
    constructor(options: SpanOptions, isRoot: boolean, around: Span | null);
    get id(): string;
    /** Whether inputs and outputs of this span are recorded. */
    get captures(): boolean;
    /** Say something of the span; a name that is none of ours becomes an attribute. Never throws. @param {Fields} fields */
    set(fields: Fields): this;
    /** Headers that put a call under this span. @returns {Record<string, string>} */
    headers(): Record<string, string>;
    /** Headers that tell LLMFlow the session, conversation and user. @returns {Record<string, string>} */
    labels(): Record<string, string>;
    /**
     * Run a step under this span, wherever we are. Arguments as those of `span`.
     * @type {typeof span}
     */
    span: typeof span;
    /** Run a function with this span as the current one. @template T @param {() => T} fn @returns {T} */
    run<T>(fn: () => T): T;
    /** End, with what went wrong, and go to LLMFlow. What is traced by a function ends by itself. @param {unknown} [error] */
    end(error?: unknown): void;
    /** Keep what a function returned, unless an output was set or none is wanted. @param {unknown} value */
    finish(value: unknown): void;
    /** The first piece of a stream is here. */
    noteFirst(): void;
}
/**
 * Run `fn` as a trace of its own; its result is returned, what it throws goes on.
 * @template T @param {string} name @param {(span: Span) => T} fn @param {SpanOptions} [options] @returns {T}
 */
export declare function trace<T>(name: string, fn: (span: Span) => T, options?: SpanOptions): T;
/**
 * Run `fn` as a step inside the current span: `span(type, name, fn, options?)`, `span(type, fn)` or `span(options, fn)`.
 * @type {{<T>(type: string, name: string, fn: (span: Span) => T, options?: SpanOptions): T, <T>(type: string, fn: (span: Span) => T): T, <T>(options: SpanOptions, fn: (span: Span) => T): T}}
 */
export declare const span: {
    <T>(type: string, name: string, fn: (span: Span) => T, options?: SpanOptions): T;
    <T>(type: string, fn: (span: Span) => T): T;
    <T>(options: SpanOptions, fn: (span: Span) => T): T;
};
/**
 * Trace a function at every call: `traced("tool")(fn)`, or as the decorator of a method. Arguments are its input.
 * @param {string} [type] @param {string} [name]
 * @returns {(target: any, key?: any, descriptor?: any) => any}
 */
export declare function traced(type?: string, name?: string): (target: any, key?: any, descriptor?: any) => any;
/**
 * Have the calls of a client carry the current span: of openai, @anthropic-ai/sdk or @google/genai. That client is
 * changed and returned, no other is. Session, conversation and user go along only where a call goes to LLMFlow.
 * @template C @param {C} client @returns {C}
 */
export declare function wrap<C>(client: C): C;
/** The older name of `wrap`, which also takes whatever has `chat.completions.create`. @template C @param {C} client @returns {C} */
export declare function wrapOpenAI<C>(client: C): C;
/** Send what waits now, for at most `timeoutMs`; whether all of it arrived. @param {number} [timeoutMs] @returns {Promise<boolean>} */
export declare function flush(timeoutMs?: number): Promise<boolean>;
/** How many spans wait, were sent, were dropped here and rejected there, and failed attempts. */
export declare function stats(): {
    waiting: number;
    sent: number;
    dropped: number;
    rejected: number;
    failedAttempts: number;
};
