import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "../../llmflow_web/static/lib/grammar.js";
import { wordAt } from "../../llmflow_web/static/parts/suggest.js";

const CASES = JSON.parse(readFileSync(new URL("../wire/grammar_cases.json", import.meta.url), "utf8"));

test("the text is read as the server reads it", () => {
  for (const { text, terms, notes } of CASES) {
    const found = parse(text);
    assert.deepEqual(found.map((term) => [term.kind === "field" ? term.field : term.kind, term.op, term.values, term.isNegated]), terms, text);
    assert.deepEqual(found.filter((term) => term.why).map((term) => `“${term.raw}” was searched as text: ${term.why}.`), notes, text);
  }
});

test("every term knows where it stands", () => {
  const text = 'plan  -model:gpt-4o "two words"';
  for (const term of parse(text)) assert.equal(text.slice(term.start, term.end), term.raw);
});

test("the word at the caret is the one that is being written", () => {
  assert.deepEqual(wordAt("plan mod", 8), { start: 5, end: 8, isNegated: false, field: "", op: "", part: "mod" });
  assert.deepEqual(wordAt("plan -model:gp x", 14), { start: 5, end: 14, isNegated: true, field: "model", op: ":", part: "gp" });
  assert.deepEqual(wordAt('tag:"a b', 8), { start: 0, end: 8, isNegated: false, field: "tag", op: ":", part: "a b" });
  assert.equal(wordAt("cost>0.", 7).op, ">");
  assert.equal(wordAt("", 0).part, "");
});
