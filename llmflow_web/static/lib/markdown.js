// @ts-check
/**
 * A safe subset of Markdown → a small tree. Pure; `parts/markdown.js` makes nodes of it, text only.
 * Model output is hostile input: no HTML, no image loading, links only to http, https and mailto, linear time.
 */

/**
 * @typedef {{type: "text"|"code"|"break", text?: string} | {type: "strong"|"em"|"del", children: Inline[]}
 *   | {type: "link", href: string, children: Inline[]}} Inline
 * @typedef {{type: "paragraph"|"heading", level?: number, children: Inline[]} | {type: "code", lang: string, text: string}
 *   | {type: "quote", children: Block[]} | {type: "rule"}
 *   | {type: "list", ordered: boolean, start: number, items: Block[][]}
 *   | {type: "table", align: string[], head: Inline[][], rows: Inline[][][]}} Block
 */

const MAX_DEPTH = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}(?:-\s*){3,}$|^ {0,3}(?:\*\s*){3,}$|^ {0,3}(?:_\s*){3,}$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const DELIMITER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** @param {string} text @returns {Block[]} */
export function parse(text) {
  return blocks(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

/** @param {string[]} lines @param {number} depth @returns {Block[]} */
function blocks(lines, depth) {
  /** @type {Block[]} */
  const out = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const read = readers.find((reader) => reader.starts(line, lines, at, depth));
    at = (read ? read.take : takeParagraph)(lines, at, out, depth);
  }
  return out;
}

/** @type {{starts: (line: string, lines: string[], at: number, depth: number) => boolean, take: (lines: string[], at: number, out: Block[], depth: number) => number}[]} */
const readers = [
  { starts: (line) => FENCE.test(line), take: takeFence },
  { starts: (line) => HEADING.test(line), take: takeHeading },
  { starts: (line) => line.length < 200 && RULE.test(line), take: (_lines, at, out) => (out.push({ type: "rule" }), at + 1) },
  { starts: (line, _l, _a, depth) => depth < MAX_DEPTH && /^ {0,3}>/.test(line), take: takeQuote },
  { starts: (line, _l, _a, depth) => depth < MAX_DEPTH && ITEM.test(line), take: takeList },
  { starts: (line, lines, at) => line.includes("|") && at + 1 < lines.length && isDelimiter(lines[at + 1]), take: takeTable },
];

/** @param {string} line */
function isDelimiter(line) {
  return line.length < 2000 && line.includes("-") && (line.includes("|") || line.includes(":")) && DELIMITER.test(line);
}

/** @param {string[]} lines @param {number} at @param {Block[]} out @param {number} depth */
function takeParagraph(lines, at, out, depth) {
  const taken = [lines[at].trim()];
  let next = at + 1;
  while (next < lines.length && lines[next].trim()) {
    if (readers.some((reader) => reader.starts(lines[next], lines, next, depth))) break;
    taken.push(lines[next].trim());
    next += 1;
  }
  out.push({ type: "paragraph", children: inline(taken.join("\n")) });
  return next;
}

/** @param {string[]} lines @param {number} at @param {Block[]} out */
function takeFence(lines, at, out) {
  const [, mark, info] = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]));
  const taken = [];
  let next = at + 1;
  while (next < lines.length && !isFenceEnd(lines[next], mark)) taken.push(lines[next++]);
  out.push({ type: "code", lang: info.trim().split(/\s/)[0].slice(0, 30), text: taken.join("\n") });
  return next + 1;
}

/** @param {string} line @param {string} mark */
function isFenceEnd(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && text === mark[0].repeat(text.length);
}

/** @param {string[]} lines @param {number} at @param {Block[]} out */
function takeHeading(lines, at, out) {
  const [, marks, text] = /** @type {RegExpExecArray} */ (HEADING.exec(lines[at]));
  out.push({ type: "heading", level: marks.length, children: inline(text.replace(/\s#+\s*$/, "").trim()) });
  return at + 1;
}

/** @param {string[]} lines @param {number} at @param {Block[]} out @param {number} depth */
function takeQuote(lines, at, out, depth) {
  const taken = [];
  let next = at;
  while (next < lines.length && /^ {0,3}>/.test(lines[next])) taken.push(lines[next++].replace(/^ {0,3}> ?/, ""));
  out.push({ type: "quote", children: blocks(taken, depth + 1) });
  return next;
}

/** @param {string[]} lines @param {number} at @param {Block[]} out @param {number} depth */
function takeList(lines, at, out, depth) {
  const first = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const ordered = /\d/.test(first[2]);
  const indent = first[1].length;
  /** @type {string[][]} */
  const items = [];
  let next = at;
  while (next < lines.length) {
    const line = lines[next];
    const item = ITEM.exec(line);
    const lead = line.length - line.trimStart().length;
    if (item && lead <= indent + 1) {
      if (lead < indent || /\d/.test(item[2]) !== ordered) break;
      items.push([item[4]]);
    } else if (!line.trim()) {
      const after = lines[next + 1];
      if (after === undefined || !after.trim()) break;
      const isMore = after.length - after.trimStart().length > indent || (ITEM.test(after) && /^ *\d/.test(after) === ordered);
      if (!isMore) break;
      items[items.length - 1].push("");
    } else if (lead > indent) {
      items[items.length - 1].push(line.slice(Math.min(lead, indent + first[2].length + 1)));
    } else if (readers.some((reader) => reader.starts(line, lines, next, depth))) break;
    else items[items.length - 1].push(line);
    next += 1;
  }
  const start = ordered ? Number.parseInt(first[2], 10) : 1;
  out.push({ type: "list", ordered, start, items: items.map((item) => blocks(item, depth + 1)) });
  return next;
}

/** @param {string[]} lines @param {number} at @param {Block[]} out */
function takeTable(lines, at, out) {
  const align = cells(lines[at + 1]).map((cell) => (/^:-+:$/.test(cell) ? "center" : /-:$/.test(cell) ? "right" : "left"));
  const rows = [];
  let next = at + 2;
  while (next < lines.length && lines[next].includes("|")) rows.push(cells(lines[next++]).slice(0, align.length).map(inline));
  out.push({ type: "table", align, head: cells(lines[at]).slice(0, align.length).map(inline), rows });
  return next;
}

/** @param {string} line @returns {string[]} */
function cells(line) {
  const list = [];
  let cell = "";
  const text = line.trim().replace(/^\|/, "");
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === "\\" && text[i + 1] === "|") {
      cell += "|";
      i += 1;
    } else if (text[i] === "|") {
      list.push(cell.trim());
      cell = "";
    } else cell += text[i];
  }
  if (cell.trim()) list.push(cell.trim());
  return list;
}

const SPECIAL = /[\\`*_~[!\n<h]/g;

/**
 * @param {string} text @param {number} [depth] @returns {Inline[]}
 */
export function inline(text, depth = 0) {
  /** @type {Inline[]} */
  const out = [];
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) out.push({ type: "text", text: plain });
    plain = "";
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const match = SPECIAL.exec(text);
    const stop = match ? match.index : text.length;
    plain += text.slice(at, stop);
    if (!match) break;
    const span = depth < MAX_DEPTH ? spanAt(text, stop, depth) : null;
    if (span) {
      flush();
      out.push(span.node);
      at = span.end;
    } else if (text[stop] === "\\" && /[\\`*_~[\](){}#+.!|<>-]/.test(text[stop + 1] ?? "")) {
      plain += text[stop + 1];
      at = stop + 2;
    } else {
      plain += text[stop];
      at = stop + 1;
    }
  }
  flush();
  return out;
}

/** @param {string} text @param {number} at @param {number} depth @returns {{node: Inline, end: number}|null} */
function spanAt(text, at, depth) {
  switch (text[at]) {
    case "\n":
      return { node: { type: "break" }, end: at + 1 };
    case "`":
      return codeAt(text, at);
    case "*":
    case "_":
    case "~":
      return emphasisAt(text, at, depth);
    case "[":
      return linkAt(text, at, depth);
    case "!":
      return text[at + 1] === "[" ? linkAt(text, at + 1, depth) : null;
    case "<":
      return bareLinkAt(text, at + 1, ">");
    case "h":
      return at === 0 || /[\s("'>]/.test(text[at - 1]) ? bareLinkAt(text, at, "") : null;
    default:
      return null;
  }
}

/** @param {string} text @param {number} at @returns {{node: Inline, end: number}|null} */
function codeAt(text, at) {
  let size = 1;
  while (text[at + size] === "`") size += 1;
  const end = text.indexOf("`".repeat(size), at + size);
  if (end < 0 || end - at > 4000) return null;
  return { node: { type: "code", text: text.slice(at + size, end).trim() }, end: end + size };
}

/** @param {string} text @param {number} at @param {number} depth @returns {{node: Inline, end: number}|null} */
function emphasisAt(text, at, depth) {
  const char = text[at];
  const mark = text[at + 1] === char ? char + char : char;
  if (char === "~" && mark.length < 2) return null;
  if (char === "_" && /\w/.test(text[at - 1] ?? "")) return null;
  const from = at + mark.length;
  if (!text[from] || /\s/.test(text[from])) return null;
  const ahead = text.slice(from, from + 2000); // a mark that never closes must not cost the whole text each time
  let end = ahead.indexOf(mark);
  while (end >= 0 && (/\s/.test(ahead[end - 1] ?? " ") || (char === "_" && /\w/.test(ahead[end + mark.length] ?? "")) || (mark.length === 1 && ahead[end + 1] === char))) {
    end = ahead.indexOf(mark, end + (ahead[end + 1] === char ? 2 : 1));
  }
  if (end <= 0) return null;
  /** @type {"strong"|"em"|"del"} */
  const type = char === "~" ? "del" : mark.length === 2 ? "strong" : "em";
  return { node: { type, children: inline(ahead.slice(0, end), depth + 1) }, end: from + end + mark.length };
}

/** @param {string} text @param {number} at position of "[" @param {number} depth @returns {{node: Inline, end: number}|null} */
function linkAt(text, at, depth) {
  const ahead = text.slice(at, at + 3000);
  const middle = ahead.indexOf("](");
  if (middle < 0 || ahead.slice(1, middle).includes("[")) return null;
  const end = ahead.indexOf(")", middle);
  if (end < 0) return null;
  const label = ahead.slice(1, middle);
  const href = safeHref(ahead.slice(middle + 2, end).trim().split(/\s/)[0].replace(/^<|>$/g, ""));
  const children = inline(label || href || "link", depth + 1);
  const node = href ? { type: /** @type {const} */ ("link"), href, children } : { type: /** @type {const} */ ("em"), children };
  return { node, end: at + end + 1 };
}

/** @param {string} text @param {number} at @param {string} close @returns {{node: Inline, end: number}|null} */
function bareLinkAt(text, at, close) {
  const match = /^https?:\/\/[^\s<>"'`]+/.exec(text.slice(at, at + 2000));
  if (!match) return null;
  const link = close ? match[0] : match[0].replace(/[.,;:!?)\]}*_]+$/, "");
  const href = safeHref(link);
  if (!href || (close && text[at + link.length] !== close)) return null;
  return { node: { type: "link", href, children: [{ type: "text", text: link }] }, end: at + link.length + close.length };
}

/** The address if it may be followed, else null. @param {string} href */
export function safeHref(href) {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Whether the text looks like Markdown at all. @param {string} text */
export function looksMarkdown(text) {
  return /(^|\n)\s{0,3}(#{1,6}\s|[-*+]\s|\d+[.)]\s|```|~~~|>\s|\|)|\*\*|`[^`]+`|\]\(/.test(text.slice(0, 20_000));
}
