// @ts-check
/** A recorded request as something to paste: curl, Python, JavaScript. Pure. */

/** @typedef {{method: string, url: string, headers: Record<string, string>, body: unknown, keyName: string}} Call */

const DROPPED = /^(host|content-length|connection|accept-encoding|transfer-encoding|user-agent|x-stainless-.*|accept|cookie)$/i;
const SECRET = /^(authorization|x-api-key|api-key|x-goog-api-key|helicone-auth)$/i;

/** Headers worth sending again; a redacted key becomes a variable. @param {Call} call @param {(name: string) => string} variable @returns {[string, string][]} */
function sendable(call, variable) {
  /** @type {[string, string][]} */
  const list = [];
  for (const [name, value] of Object.entries(call.headers)) {
    if (DROPPED.test(name)) continue;
    if (SECRET.test(name)) list.push([name, /^bearer/i.test(String(value)) ? `Bearer ${variable(call.keyName)}` : variable(call.keyName)]);
    else list.push([name, String(value)]);
  }
  if (call.body != null && !list.some(([name]) => name.toLowerCase() === "content-type")) list.push(["Content-Type", "application/json"]);
  return list;
}

/** @param {string} text */
export function shellQuote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @param {unknown} body @param {number} [indent] */
function bodyText(body, indent) {
  return typeof body === "string" ? body : JSON.stringify(body, null, indent);
}

/** @param {Call} call */
export function asCurl(call) {
  const lines = [`curl ${shellQuote(call.url)}`];
  if (call.method !== (call.body == null ? "GET" : "POST")) lines[0] += ` -X ${call.method}`;
  for (const [name, value] of sendable(call, (key) => `\u0000${key}\u0001`)) {
    const quoted = shellQuote(`${name}: ${value}`);
    lines.push(`  -H ${quoted.replace(/\u0000(\w+)\u0001/, `'"$$$1"'`)}`); // the variable must stand outside single quotes
  }
  if (call.body != null) lines.push(`  -d ${shellQuote(bodyText(call.body, 2))}`);
  return lines.join(" \\\n");
}

/** A JSON value as Python source. @param {unknown} value @param {string} [indent] @returns {string} */
export function pythonLiteral(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object") return String(value);
  const deeper = `${indent}    `;
  const items = Array.isArray(value)
    ? value.map((item) => deeper + pythonLiteral(item, deeper))
    : Object.entries(value).map(([key, item]) => `${deeper}${JSON.stringify(key)}: ${pythonLiteral(item, deeper)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return items.length ? `${open}\n${items.join(",\n")},\n${indent}${close}` : open + close;
}

/** @param {Call} call */
export function asPython(call) {
  const headers = sendable(call, (key) => `\u0000${key}\u0001`)
    .map(([name, value]) => `    ${JSON.stringify(name)}: ${pythonHeader(value)},`).join("\n");
  const body = call.body == null ? "" : typeof call.body === "string"
    ? `    content=${JSON.stringify(call.body)},\n` : `    json=${pythonLiteral(call.body, "    ")},\n`;
  return `import os\n\nimport httpx\n\nresponse = httpx.request(\n    ${JSON.stringify(call.method)},\n    ${JSON.stringify(call.url)},\n` +
    `    headers={\n${headers.replace(/^/gm, "    ")}\n    },\n${body}    timeout=600,\n)\nprint(response.status_code, response.text)\n`;
}

/** @param {string} value */
function pythonHeader(value) {
  const match = /^([^\u0000]*)\u0000(\w+)\u0001$/.exec(value);
  if (!match) return JSON.stringify(value);
  return match[1] ? `${JSON.stringify(match[1])} + os.environ["${match[2]}"]` : `os.environ["${match[2]}"]`;
}

/** @param {Call} call */
export function asJavaScript(call) {
  const headers = sendable(call, (key) => `\u0000${key}\u0001`)
    .map(([name, value]) => `    ${JSON.stringify(name)}: ${scriptHeader(value)},`).join("\n");
  const body = call.body == null ? "" : typeof call.body === "string"
    ? `  body: ${JSON.stringify(call.body)},\n` : `  body: JSON.stringify(${JSON.stringify(call.body, null, 2).replace(/\n/g, "\n  ")}),\n`;
  return `const response = await fetch(${JSON.stringify(call.url)}, {\n  method: ${JSON.stringify(call.method)},\n  headers: {\n${headers}\n  },\n${body}});\n` +
    "console.log(response.status, await response.text());\n";
}

/** @param {string} value */
function scriptHeader(value) {
  const match = /^([^\u0000]*)\u0000(\w+)\u0001$/.exec(value);
  if (!match) return JSON.stringify(value);
  return match[1] ? `${JSON.stringify(match[1])} + process.env.${match[2]}` : `process.env.${match[2]}`;
}
