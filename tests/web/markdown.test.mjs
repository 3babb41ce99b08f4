import assert from "node:assert/strict";
import { test } from "node:test";
import { inline, looksMarkdown, parse, safeHref } from "../../llmflow_web/static/lib/markdown.js";

test("blocks of the subset are told apart", () => {
  const tree = parse("# Title\n\ntext **bold**\nmore\n\n- one\n- two\n  - deep\n\n3. three\n\n> quote\n\n---\n\n```py\nx = 1\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n");
  assert.deepEqual(tree.map((block) => block.type), ["heading", "paragraph", "list", "list", "quote", "rule", "code", "table"]);
  assert.equal(tree[2].items.length, 2);
  assert.equal(tree[2].items[1][1].type, "list");
  assert.equal(tree[3].start, 3);
  assert.deepEqual(tree[6], { type: "code", lang: "py", text: "x = 1" });
  assert.deepEqual(tree[7].align, ["left", "right"]);
});

test("a fence that never closes takes the rest as code", () => {
  assert.deepEqual(parse("```\nabc"), [{ type: "code", lang: "", text: "abc" }]);
});

test("marks inside a line", () => {
  assert.deepEqual(inline("a *b* `c*d*`"), [{ type: "text", text: "a " }, { type: "em", children: [{ type: "text", text: "b" }] }, { type: "text", text: " " }, { type: "code", text: "c*d*" }]);
  assert.deepEqual(inline("snake_case_name 2 * 3 * 4"), [{ type: "text", text: "snake_case_name 2 * 3 * 4" }]);
  assert.equal(inline("~~x~~")[0].type, "del");
  assert.deepEqual(inline("\\*x\\*"), [{ type: "text", text: "*x*" }]);
});

test("links lead only to http, https and mailto", () => {
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "/relative", "//host"]) {
    assert.equal(safeHref(bad), null, bad);
    assert.equal(inline(`[x](${bad.replace("\n", "")})`).some((node) => node.type === "link"), false);
  }
  assert.equal(inline("[x](https://a.b/c)")[0].href, "https://a.b/c");
  assert.equal(inline("see https://a.b/c.")[1].href, "https://a.b/c");
  assert.equal(inline("![img](https://a.b/c.png)")[0].type, "link");
});

test("HTML stays text", () => {
  assert.deepEqual(parse("<img src=x onerror=alert(1)>"), [{ type: "paragraph", children: [{ type: "text", text: "<img src=x onerror=alert(1)>" }] }]);
});

test("hostile text takes linear time and never throws", () => {
  const started = performance.now();
  for (const piece of ["*", "_", "`", "[", "![", "](", "**a", "|", "> ", "- ", "~~", "<h", "http://", "1. ", "```", "#", "| - "]) parse(piece.repeat(20_000));
  parse("a|b\n".repeat(5_000));
  parse("- x\n".repeat(5_000));
  parse("*a ".repeat(20_000));
  assert.ok(performance.now() - started < 6_000, `took ${performance.now() - started} ms`);
});

test("words and text survive whatever the cut", () => {
  const source = "# A\n\n- one **two**\n- three\n\nfour `five`";
  for (let i = 0; i <= source.length; i += 1) {
    const words = JSON.stringify(parse(source.slice(0, i)));
    if (i > 10) assert.match(words, /one|A/);
  }
});

test("plain prose is not taken for Markdown", () => {
  assert.equal(looksMarkdown("Just a sentence."), false);
  assert.equal(looksMarkdown("It is **bold**"), true);
  assert.equal(looksMarkdown("- a\n- b"), true);
});
