import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const STATIC = new URL("../../llmflow_web/static", import.meta.url).pathname;
const files = (folder) => readdirSync(folder).flatMap((name) => {
  const path = join(folder, name);
  return statSync(path).isDirectory() ? files(path) : [path];
});
const all = files(STATIC);
const scripts = all.filter((path) => path.endsWith(".js"));
const read = (path) => readFileSync(path, "utf8");

// ---- colours
const tokens = Object.fromEntries([...read(join(STATIC, "css/tokens.css")).matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);/g)].map((match) => [match[1], [match[2], match[3]]]));

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

test("text stands out at 4.5 to 1 in both themes, wherever it is written", () => {
  const texts = ["fg", "muted", "accent", "error", "warn", "ok"];
  const grounds = ["bg", "bg-soft", "bg-raised", "bg-hover", "bg-selected"];
  for (const theme of [0, 1]) {
    for (const text of texts) for (const ground of grounds) {
      const value = contrast(tokens[text][theme], tokens[ground][theme]);
      assert.ok(value >= 4.5, `${text} on ${ground}, theme ${theme}: ${value.toFixed(2)}`);
    }
    for (const [text, ground] of [["error", "error-bg"], ["fg", "error-bg"], ["muted", "error-bg"], ["warn", "warn-bg"], ["on-accent", "accent"], ["fg", "mark"]]) {
      assert.ok(contrast(tokens[text][theme], tokens[ground][theme]) >= 4.5, `${text} on ${ground}, theme ${theme}`);
    }
  }
});

test("bars, kinds and edges of fields stand out at 3 to 1", () => {
  for (const theme of [0, 1]) for (const name of Object.keys(tokens).filter((one) => one.startsWith("kind-") || one === "line-strong")) {
    for (const ground of ["bg", "bg-raised", ...(name === "line-strong" ? [] : ["bg-selected"])]) {
      assert.ok(contrast(tokens[name][theme], tokens[ground][theme]) >= 3, `${name} on ${ground}, theme ${theme}: ${contrast(tokens[name][theme], tokens[ground][theme]).toFixed(2)}`);
    }
  }
});

// ---- safety
test("no script can turn text into markup or code", () => {
  for (const path of scripts) {
    const found = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\(|new Function|setTimeout\(["'`]/.exec(read(path));
    assert.equal(found, null, `${path}: ${found?.[0]}`);
  }
});

test("nothing names another origin, and the page has no inline script or style", () => {
  for (const path of all) {
    const urls = [...read(path).matchAll(/(?:src|href|from|import|url\()\s*=?\s*["'(](https?:)?\/\/[^"')]+/g)].map((match) => match[0]);
    assert.deepEqual(urls, [], path);
  }
  const page = read(join(STATIC, "index.html"));
  assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/);
});

// ---- layers
test("lib knows no document, and imports run one way: lib, state and feed, parts, views, app", () => {
  const rank = { lib: 0, feed: 1, "state.js": 2, parts: 3, views: 4, "app.js": 5 };
  for (const path of scripts) {
    const room = path.slice(STATIC.length + 1).split("/")[0];
    const source = read(path);
    if (room === "lib") assert.doesNotMatch(source, /\b(document|window|localStorage|location)\b\s*[.([]/, path);
    for (const [, target] of source.matchAll(/(?:from|import\()\s*"([^"]+)"/g)) {
      const other = new URL(target, `file://${path}`).pathname.slice(STATIC.length + 1).split("/")[0];
      assert.ok(rank[other] <= rank[room], `${path} imports ${target}`);
    }
  }
});

test("every module says what it is and is checked by types", () => {
  for (const path of scripts.filter((one) => !one.endsWith("boot.js"))) assert.match(read(path), /^\/\/ @ts-check\n\/\*\*/, path);
});

/** A file and all it imports at once. */
function withImports(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  if (path.endsWith(".js")) for (const [, target] of read(path).matchAll(/^(?:import|export) (?:[^"]+ from )?"([^"]+)";/gm)) withImports(new URL(target, `file://${path}`).pathname, found);
  return found;
}

test("the first screen stays light, and so does the whole", () => {
  const weigh = (paths) => [paths.reduce((sum, path) => sum + statSync(path).size, 0), paths.reduce((sum, path) => sum + gzipSync(read(path), { level: 9 }).length, 0)];
  const page = join(STATIC, "index.html");
  const linked = [...read(page).matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map((match) => join(STATIC, match[1]));
  const first = [page, ...linked, join(STATIC, "views/traces.js")].reduce((found, path) => withImports(path, found), new Set());
  const [size, packed] = weigh([...first]);
  assert.ok(size <= 125_000, `${size} bytes`);
  assert.ok(packed <= 43_500, `${packed} bytes as gzip`); // the strip over the list comes after the rows: 45,000 with it
  assert.ok(first.size <= 30, `${first.size} files`);
  const isSdk = (path) => path.includes("/sdk/"); // no page loads it: it is for programs
  assert.ok(weigh(all.filter(isSdk))[1] <= 13_500, "the SDK");
  const [all_, allPacked] = weigh(all.filter((path) => !isSdk(path)));
  assert.ok(all_ <= 600_000, `${all_} bytes in all`);
  assert.ok(allPacked <= 220_000, `${allPacked} bytes in all as gzip`);
});
