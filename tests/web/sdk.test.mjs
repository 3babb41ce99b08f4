// The JavaScript SDK: spans, context, streams and delivery, against a server of the test's own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { sdks } from "../../llmflow_web/static/lib/snippets.js";
import * as llmflow from "../../llmflow_web/static/sdk/llmflow.js";

const { configure, currentTraceHeaders, flush, generateId, getCurrentSpan, span, stats, trace, traced, wrap, wrapOpenAI } = llmflow;
const SDK = new URL("../../llmflow_web/static/sdk/llmflow.js", import.meta.url);
const run = promisify(execFile);

/** A server that keeps what is posted; `answer(n)` gives status and body of the n-th post. */
async function listen(answer = () => [201, {}]) {
  const posts = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece) => { text += piece; });
    request.on("end", () => {
      const [status, body, headers] = answer(posts.length);
      const { spans } = JSON.parse(text);
      posts.push({ spans, headers: request.headers, status, path: request.url });
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(body === null ? null : { stored: spans.length, rejected: 0, ...body }));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => { server.closeAllConnections(); server.close(); });
  const taken = () => posts.filter((post) => post.status < 300).flatMap((post) => post.spans);
  const cut = () => server.closeAllConnections();
  return { posts, taken, cut, url: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); return new Promise((resolve) => server.close(resolve)); } };
}

/** Everything `work` traces, by name. */
async function recorded(work, options = {}) {
  const server = await listen();
  configure();
  configure({ url: server.url, ...options });
  await work(server);
  assert.equal(await flush(), true);
  configure();
  return Object.fromEntries(server.taken().map((one) => [one.span_name, one]));
}

test("a tree stands as it ran: through promises, timers and what runs at once", async () => {
  const found = await recorded(() => trace("root", async (root) => {
    assert.equal(getCurrentSpan(), root);
    await new Promise((resolve) => { setTimeout(resolve, 1); });
    await Promise.all(["a", "b"].map((name) => span("agent", name, async () => {
      await null;
      return span("tool", `${name}-tool`, () => name);
    })));
    span({ type: "chain", name: "plain", tags: ["x", "y"], model: "m", promptTokens: 3, completion_tokens: 4, mine: { deep: 1 } }, () => 7);
    return { done: true };
  }, { sessionId: "s", userId: "u" }));
  const { root, a, b, plain } = found;
  assert.deepEqual([root.span_type, root.parent_id, root.session_id, root.output], ["trace", null, "s", { done: true }]);
  for (const one of [a, b, plain]) assert.deepEqual([one.parent_id, one.trace_id, one.user_id], [root.id, root.trace_id, "u"]);
  assert.deepEqual([found["a-tool"].parent_id, found["b-tool"].parent_id, found["a-tool"].output], [a.id, b.id, { result: "a" }]);
  assert.deepEqual([plain.tags, plain.model, plain.prompt_tokens, plain.completion_tokens, plain.attributes], [["x", "y"], "m", 3, 4, { mine: { deep: 1 } }]);
  assert.match(root.trace_id, /^[0-9a-f]{32}$/);
  assert.match(root.id, /^[0-9a-f]{16}$/);
  assert.equal(getCurrentSpan(), null);
});

test("the older call shapes", async () => {
  class Store {
    constructor() { this.base = 2; }

    times(n) { return n * this.base; }
  }
  const descriptor = traced("tool", "multiply")(Store.prototype, "times", Object.getOwnPropertyDescriptor(Store.prototype, "times"));
  Object.defineProperty(Store.prototype, "times", descriptor);
  const found = await recorded(() => {
    assert.equal(span("tool", function lookUp() { return 1; }), 1);
    assert.equal(new Store().times(21), 42);
    assert.equal(traced("chain")(function twice(n) { return n * 2; })(4), 8);
    assert.equal(trace("given", () => 1, { type: "agent", traceId: "my-trace" }), 1);
    assert.throws(() => span("tool", "name"), TypeError);
  });
  assert.equal(found.lookUp.span_type, "tool");
  assert.deepEqual([found.multiply.input, found.multiply.output], [21, { result: 42 }]);
  assert.equal(found.twice.span_type, "chain");
  assert.deepEqual([found.given.span_type, found.given.trace_id], ["agent", "my-trace"]);
  assert.match(generateId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
});

test("headers: those of the current span, none outside; a caller's trace is carried on", async () => {
  assert.deepEqual(currentTraceHeaders(), {});
  const found = await recorded(() => {
    const parent = { traceparent: `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01` };
    span({ type: "agent", name: "w3c", parent }, (one) => {
      assert.deepEqual(currentTraceHeaders(), { "x-trace-id": "ab".repeat(16), "x-parent-id": one.id, traceparent: `00-${"ab".repeat(16)}-${one.id}-01` });
    });
    span({ type: "agent", name: "ours", parent: new Headers({ "x-trace-id": "t-1", "x-parent-id": "p-1" }) }, () => {
      assert.equal("traceparent" in currentTraceHeaders(), false);
    });
    span({ type: "agent", name: "neither", parent: { traceparent: "nonsense" } }, () => {});
  });
  assert.deepEqual([found.w3c.trace_id, found.w3c.parent_id], ["ab".repeat(16), "cd".repeat(8)]);
  assert.deepEqual([found.ours.trace_id, found.ours.parent_id], ["t-1", "p-1"]);
  assert.equal(found.neither.parent_id, null);
});

test("errors are recorded and go on as they came", async () => {
  const wrong = new RangeError("too far");
  const found = await recorded(async () => {
    assert.throws(() => span("tool", "sync", () => { throw wrong; }), (error) => error === wrong);
    await assert.rejects(span("tool", "async", async () => { throw wrong; }), (error) => error === wrong);
    await assert.rejects(span("tool", "strange", () => Promise.reject(undefined)), (error) => error === undefined);
    await assert.rejects(span("tool", "stopped", async () => { throw new DOMException("no", "AbortError"); }));
  });
  for (const name of ["sync", "async"]) assert.deepEqual([found[name].status, found[name].error, found[name].attributes["exception.type"]], [500, "RangeError: too far", "RangeError"]);
  assert.equal(found.strange.status, 500);
  assert.equal(found.stopped.status, 499);
});

test("streams are watched, not read: generators, the SDKs' streams, ReadableStreams", async () => {
  const order = [];
  class Stream { // as those of openai: iterable once, with more methods
    controller = "mine";

    async *[Symbol.asyncIterator]() { yield { n: 1 }; yield { n: 2 }; }
  }
  const found = await recorded(async () => {
    const letters = span("llm", "generator", function* () { order.push("begun"); yield "a"; yield "b"; return "end"; });
    assert.deepEqual(order, []);
    assert.deepEqual([...letters], ["a", "b"]);
    const pieces = span("llm", "async", async function* () { yield "x"; span("tool", "inside", () => 1); yield "y"; });
    const got = [];
    for await (const piece of pieces) got.push(piece);
    assert.deepEqual(got, ["x", "y"]);
    const stream = await span("llm", "stream", async () => new Stream());
    assert.equal(stream.controller, "mine");
    for await (const chunk of stream) got.push(chunk.n);
    assert.deepEqual(got, ["x", "y", 1, 2]);
    const readable = span("tool", "readable", () => new ReadableStream({ start(controller) { controller.enqueue("p"); controller.enqueue("q"); controller.close(); } }));
    assert.equal(await new Response(readable.pipeThrough(new TextEncoderStream())).text(), "pq");
    const broken = span("llm", "broken", async function* () { yield "x"; throw new Error("cut"); });
    await assert.rejects(async () => { for await (const piece of broken) got.push(piece); }, /cut/);
    for await (const piece of span("llm", "left", async function* () { yield "only"; yield "never"; })) { got.push(piece); break; }
  });
  assert.deepEqual([found.generator.output, found.generator.is_stream], [{ result: "ab" }, true]);
  assert.ok(found.generator.ttft_ms >= 0);
  assert.deepEqual(found.async.output, { result: "xy" });
  assert.equal(found.inside.parent_id, found.async.id);
  assert.deepEqual(found.stream.output, { result: [{ n: 1 }, { n: 2 }] });
  assert.deepEqual(found.readable.output, { result: "pq" });
  assert.deepEqual([found.broken.output, found.broken.error], [{ result: "x" }, "Error: cut"]);
  assert.deepEqual(found.left.output, { result: "only" });
});

test("a promise of a class of its own stays what it is", async () => {
  class APIPromise extends Promise {
    asResponse() { return "raw"; }
  }
  const found = await recorded(async () => {
    const promise = span("llm", "call", () => APIPromise.resolve({ ok: 1 }));
    assert.equal(promise.asResponse(), "raw");
    assert.deepEqual(await promise, { ok: 1 });
    await null;
  });
  assert.deepEqual(found.call.output, { ok: 1 });
});

test("what comes back is the caller's own: not begun, not locked, not changed for its reader", async () => {
  const iterable = Object.freeze({ async *[Symbol.asyncIterator]() { yield 1; } });
  const frozen = { [Symbol.asyncIterator]: () => Object.freeze({ next: async () => ({ done: true, value: undefined }) }) };
  const locked = new ReadableStream();
  locked.getReader();
  class Mine extends Promise {}
  let runs = 0;
  const query = { then(ok, bad) { runs += 1; return Promise.resolve("rows").then(ok, bad); } };
  const found = await recorded(async () => {
    assert.equal(await span("tool", "iterable", async () => iterable), iterable);
    for await (const piece of span("tool", "frozen", () => frozen)) assert.fail(piece);
    assert.equal(await span("tool", "locked", async () => locked), locked);
    const stream = await span("tool", "mine", () => Mine.resolve(new ReadableStream({ start(controller) { controller.enqueue("p"); } })));
    const only = stream.getReader();
    assert.deepEqual(await only.read(), { done: false, value: "p" });
    await only.cancel();
    assert.deepEqual([await span("tool", "query", () => query), runs], ["rows", 1]);
    await assert.rejects(span("tool", "refused", () => Mine.reject(new Error("no"))), /no/);
    assert.equal((await span("tool", "odd", async () => ({ get [Symbol.toStringTag]() { throw new Error("no tag"); }, v: 1 }))).v, 1);
    const reader = span("tool", "bytes", () => new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(new Uint8Array(3)); controller.close(); } })).getReader({ mode: "byob" });
    assert.equal((await reader.read(new Uint8Array(8))).value.length, 3);
    assert.equal((await reader.read(new Uint8Array(8))).done, true);
  });
  assert.deepEqual(Object.keys(found).sort(), ["bytes", "frozen", "iterable", "locked", "mine", "odd", "query", "refused"]);
  assert.deepEqual([found.query.output, found.refused.error, found.odd.status ?? 200], [{ result: "rows" }, "Error: no", 200]);
});

test("the SDKs' requests and streams, read in any of their ways", async () => {
  class Request extends Promise { // as APIPromise of openai and Anthropic
    static get [Symbol.species]() { return Promise; }

    answer = new Response('{"n":1}');

    parse() { return (this.parsed ??= this.answer.json()); }

    then(ok, bad) { return this.parse().then(ok, bad); }

    asResponse() { return Promise.resolve(this.answer); }

    async withResponse() {
      const [data, response] = await Promise.all([this.parse(), this.asResponse()]);
      return { data, response };
    }
  }
  const request = () => new Request((resolve) => { resolve(null); });
  class Stream {
    controller = new AbortController();

    iterator = async function* () { yield "a"; yield "b"; };

    [Symbol.asyncIterator]() { return this.iterator(); }

    async left() { let text = ""; for await (const piece of { [Symbol.asyncIterator]: () => this.iterator() }) text += piece; return text; }
  }
  const found = await recorded(async () => {
    assert.deepEqual(await span("llm", "awaited", request), { n: 1 });
    assert.deepEqual((await span("llm", "both", request).withResponse()).data, { n: 1 });
    assert.deepEqual(await (await span("llm", "raw", request).asResponse()).json(), { n: 1 });
    assert.equal(await span("llm", "split", () => new Stream()).left(), "ab");
    const heard = span("tool", "heard", () => Readable.from(["x", "y"]));
    const pieces = [];
    heard.on("data", (piece) => { pieces.push(piece); });
    await once(heard, "close");
    assert.deepEqual(pieces, ["x", "y"]);
  });
  assert.deepEqual([found.awaited.output, found.both.output, found.raw.output], [{ n: 1 }, { n: 1 }, { result: "<Response>" }]);
  assert.deepEqual(found.split.output, { result: "ab" });
  assert.ok(found.heard.duration_ms >= 0);
});

test("whatever a program hands around is copied, bounded, and never breaks it", async () => {
  const loop = { name: "loop" };
  loop.self = loop;
  const values = {
    loop, date: new Date(0), big: 10n, map: new Map([["k", new Set([1])]]), bytes: new Uint8Array(9), nan: NaN, fn: function f() {},
    get broken() { throw new Error("no"); }, long: "x".repeat(300_000), list: Array.from({ length: 2000 }, (_, n) => n), ["__proto__x"]: 1, promise: Promise.resolve(1), error: new TypeError("t"), undefined,
  };
  Object.defineProperty(values, "__proto__", { value: { odd: 1 }, enumerable: true });
  const proxy = new Proxy({}, { ownKeys() { throw new Error("no keys"); } });
  const changing = { n: 1 };
  const found = await recorded(() => {
    span("tool", "values", (one) => { one.set({ input: values, output: proxy, attributes: { changing } }); changing.n = 2; });
    span("tool", "odd", (one) => { one.set(null).set({ tags: 5, status: "x", promptTokens: -1, model: { a: 1 } }); });
  });
  const { input, output, attributes } = found.values;
  assert.deepEqual([input.loop, input.date, input.big, input.map, input.bytes, input.nan, input.fn], [{ name: "loop", self: "<Object it is part of>" }, "1970-01-01T00:00:00.000Z", "10", { k: [1] }, "<9 bytes>", "NaN", "<function f>"]);
  assert.equal(input.broken, "<something that cannot be shown>");
  assert.match(input.long, /more characters\]$/);
  assert.deepEqual(output, { result: "<something that cannot be shown>" });
  assert.deepEqual(attributes.changing, { n: 1 });
  assert.equal(found.odd.status ?? 200, 200);
});

test("contents are left out, or pass the user's own hook", async () => {
  const plain = await recorded(() => {
    traced("tool", "quiet")((x) => x)("secret");
    span({ type: "tool", name: "given", input: "secret" }, () => "secret");
    span({ type: "tool", name: "asked", capture: true, input: "wanted" }, () => 1);
  }, { capture: false });
  assert.deepEqual([plain.quiet.input, plain.quiet.output, plain.given.input, plain.given.output, plain.asked.input], [undefined, undefined, undefined, undefined, "wanted"]);
  const hook = (part, value) => {
    if (part === "attributes") throw new Error("broken hook");
    return JSON.parse(JSON.stringify(value).replaceAll("secret", "[gone]"));
  };
  const masked = await recorded(() => traced("tool", "loud")((x) => { getCurrentSpan().set({ mine: "secret" }); return { x }; })("secret"), { redact: hook });
  assert.deepEqual([masked.loud.input, masked.loud.output, masked.loud.attributes], ["[gone]", { x: "[gone]" }, { redacted: "[withheld: the redaction hook failed]" }]);
  const tracing = traced("tool", "hook")((value) => ({ seen: value }));
  const within = await recorded(() => traced("tool", "outer")((x) => x)({ y: 1 }), { redact: (part, value) => tracing(value) });
  assert.deepEqual([Object.keys(within), within.outer.input], [["outer"], { seen: { y: 1 } }]);
});

test("off: functions run as they are, nothing is sent", async () => {
  const server = await listen();
  configure();
  configure({ url: server.url, enabled: false });
  assert.equal(trace("root", (one) => { one.set({ model: "m" }); return span("tool", "in", () => currentTraceHeaders()["x-trace-id"] ?? "none"); }), "none");
  assert.equal(await flush(), true);
  assert.equal(server.posts.length, 0);
});

test("batches of 200; refusals are counted; a token goes along", async () => {
  const server = await listen((n) => n === 0 ? [201, { stored: 199, rejected: 1, results: [{ error: "bad" }] }] : [201, {}]);
  configure();
  configure({ url: server.url, token: "tok" });
  const before = stats();
  for (let n = 0; n < 450; n += 1) span("tool", `n${n}`, () => n);
  assert.equal(await flush(), false);
  assert.deepEqual(server.posts.map((post) => post.spans.length), [200, 200, 50]);
  assert.equal(server.posts[0].headers["x-llmflow-token"], "tok");
  assert.deepEqual([stats().sent - before.sent, stats().rejected - before.rejected], [449, 1]);
});

test("LLMFlow away, busy, back: nothing thrown, memory bounded, what waited arrives", async () => {
  const gone = await listen();
  await gone.close();
  configure();
  configure({ url: gone.url });
  const before = stats();
  for (let n = 0; n < 5000; n += 1) span("tool", "waits", () => n);
  assert.equal(await flush(), false);
  assert.equal(stats().waiting, 4000);
  assert.equal(stats().dropped - before.dropped, 1000);
  let isBusy = true;
  const back = await listen(() => isBusy ? [503, { error: "busy" }, { "retry-after": "1" }] : [201, {}]);
  configure({ url: back.url });
  assert.equal(await flush(), false);
  isBusy = false;
  while (stats().waiting) await flush();
  assert.equal(back.taken().length, 4000);
  back.cut(); // as a restart does: the connection that was kept is dead
  span("tool", "after", () => 1);
  while (stats().waiting) await flush();
  assert.equal(back.taken().at(-1).span_name, "after");
});

test("what waits is bounded in bytes, whatever it is made of", async () => {
  const gone = await listen();
  await gone.close();
  configure();
  configure({ url: gone.url });
  const small = Array.from({ length: 100 }, () => ({ a: {}, b: [0, 1, 2], c: null }));
  for (let n = 0; n < 300; n += 1) span("tool", "many", (one) => { one.set({ input: small, output: { text: "€".repeat(100_000) } }); });
  assert.ok(stats().waiting * 200_000 <= 32 * 1024 * 1024, `${stats().waiting} spans`);
  assert.ok(stats().waiting > 100);
  const back = await listen();
  configure({ url: back.url });
  while (stats().waiting) await flush();
  assert.ok(back.taken().length > 100);
});

test("a stranger at LLMFlow's port gets no more than a look, and sends nothing elsewhere", async () => {
  const elsewhere = await listen();
  const stranger = await listen((n) => n ? [307, null, { location: `${elsewhere.url}/api/spans` }] : [200, null]);
  configure();
  configure({ url: stranger.url.replace("http://", "") });
  const before = stats();
  for (let n = 0; n < 300; n += 1) span("tool", "private", () => n);
  assert.equal(await flush(), false);
  assert.deepEqual([stranger.posts.length, stats().waiting, stats().rejected - before.rejected], [1, 100, 200]);
  assert.equal(await flush(), false);
  assert.deepEqual([stranger.posts.length, elsewhere.posts.length, stats().waiting], [2, 0, 0]);
  configure();
});

test("what is undefined sets nothing; the environment is read when first needed", async () => {
  const server = await listen();
  configure();
  configure({ url: server.url });
  configure({ url: undefined, token: null });
  span("tool", "there", () => 1);
  assert.equal(await flush(), true);
  configure();
  process.env.LLMFLOW_URL = server.url;
  span("tool", "late", () => 1);
  assert.equal(await flush(), true);
  delete process.env.LLMFLOW_URL;
  configure();
  assert.deepEqual(server.taken().map((one) => one.span_name), ["there", "late"]);
});

test("a wrapped client carries the span, that client alone", async () => {
  const seen = [];
  const client = () => ({ baseURL: "", fetch: async (url, init) => { seen.push([String(url), Object.fromEntries(new Headers(init?.headers))]); return new Response("{}"); } });
  const [mine, other] = [client(), client()];
  assert.equal(wrapOpenAI(mine), mine);
  const fetchOnce = mine.fetch;
  assert.equal(wrap(mine).fetch, fetchOnce);
  const google = wrap({ apiClient: { apiCall: async (url, init, more) => seen.push([url, Object.fromEntries(init.headers), more]) } });
  const found = await recorded(() => trace("root", async () => {
    await mine.fetch("http://localhost:8080/v1/chat/completions", { headers: { "x-trace-id": "own" } });
    await mine.fetch("https://api.openai.com/v1/models");
    await other.fetch("http://localhost:8080/v1");
    await google.apiClient.apiCall("https://example.test", { headers: {} }, 3);
  }, { sessionId: "s" }));
  await mine.fetch("http://localhost:8080/outside");
  const { id } = found.root;
  assert.deepEqual([seen[0][1]["x-trace-id"], seen[0][1]["x-parent-id"], seen[0][1]["x-llmflow-session-id"]], ["own", id, "s"]);
  assert.deepEqual([seen[1][1]["x-parent-id"], seen[1][1]["x-llmflow-session-id"]], [id, undefined]);
  assert.deepEqual([seen[2][1], seen[4][1]], [{}, {}]);
  assert.deepEqual([seen[3][1]["x-parent-id"], seen[3][2]], [id, 3]);
  assert.throws(() => wrap({}), TypeError);
  const calls = [];
  const bare = wrapOpenAI({ chat: { completions: { create: async (...args) => calls.push(args) } } });
  await recorded(() => trace("bare", () => bare.chat.completions.create({ model: "m" }, { headers: { mine: "1" } })));
  assert.deepEqual([calls[0][0], calls[0][1].headers.mine, typeof calls[0][1].headers["x-trace-id"]], [{ model: "m" }, "1", "string"]);
});

test("a program ends by itself: with what waits delivered, and at once where nobody answers", async () => {
  const server = await listen();
  const code = `import { trace } from ${JSON.stringify(SDK.href)}; trace("last", () => 1);`;
  const go = (url) => run(process.execPath, ["--input-type=module", "-e", code], { env: { PATH: process.env.PATH, LLMFLOW_URL: url, LLMFLOW_SERVICE_NAME: "short" } });
  await go(server.url);
  assert.deepEqual(server.taken().map((one) => [one.span_name, one.service_name]), [["last", "short"]]);
  await server.close();
  const { stderr, stdout } = await go(server.url);
  assert.equal(stdout, "");
  assert.equal(stderr.trim().split("\n").length, 1);
});

test("what the setup screen shows runs as it stands", async () => {
  const server = await listen();
  const { snippets } = sdks(server.url, "").find((one) => one.id === "llmflow");
  const code = snippets.find((one) => one.name === "JavaScript").code.replace("./llmflow.mjs", SDK.href);
  await run(process.execPath, ["--input-type=module", "-e", code]);
  const { answer, search } = Object.fromEntries(server.taken().map((one) => [one.span_name, one]));
  assert.deepEqual([search.parent_id, search.span_type, search.output, answer.output], [answer.id, "tool", { result: ["found"] }, { result: ["found"] }]);
});

test("a program ends although LLMFlow takes what it sends and never answers", async () => {
  const silent = createServer(() => {});
  await new Promise((resolve) => silent.listen(0, "127.0.0.1", resolve));
  after(() => { silent.closeAllConnections(); silent.close(); });
  const code = `import { span } from ${JSON.stringify(SDK.href)}; for (let n = 0; n < 100; n += 1) span("tool", "x", () => n);`;
  const { stderr } = await run(process.execPath, ["--input-type=module", "-e", code], { env: { PATH: process.env.PATH, LLMFLOW_URL: `http://127.0.0.1:${silent.address().port}` }, timeout: 120_000 });
  assert.match(stderr, /^\[llmflow\] .* does not answer/);
});

test("without AsyncLocalStorage a span is current until the first await, and its handle says where things belong", async () => {
  const code = `
    process.getBuiltinModule = () => null;
    Object.defineProperty(process.versions, "node", { value: "" });
    const { trace, span, getCurrentSpan, flush } = await import(${JSON.stringify(SDK.href)});
    await trace("root", async (root) => {
      span("tool", "before", () => 1);
      await null;
      if (getCurrentSpan()) throw new Error("it cannot be known");
      await root.span("tool", "after", async (self) => { await null; self.span("tool", "deeper", () => 1); });
    });
    if (!(await flush())) throw new Error("not delivered");`;
  const server = await listen();
  await run(process.execPath, ["--input-type=module", "-e", code], { env: { PATH: process.env.PATH, LLMFLOW_URL: server.url } });
  const found = Object.fromEntries(server.taken().map((one) => [one.span_name, one]));
  assert.deepEqual([found.before.parent_id, found.after.parent_id, found.deeper.parent_id], [found.root.id, found.root.id, found.after.id]);
});
