// @ts-check
/** What is asked of the server beyond lists: pieces of bodies, its ports, changes. */
import { ApiError, ask, get, sentence, url } from "./api.js";

/** A slice of a stored body, with the size of the whole. @param {string} part @param {number} offset @param {number} limit */
export async function slice(trace, part, offset, limit) {
  const answer = await ask(url(`/api/spans/${encodeURIComponent(trace.id)}/body`, { part, offset, limit, trace_id: trace.trace_id }));
  return { data: await answer.arrayBuffer(), size: Number(answer.headers.get("x-llmflow-size")) };
}

/** @type {Promise<{proxy_port: number, dashboard_port: number, version: string}>|undefined} */
let asked;

/** Ports and version; asked once. */
export function config() {
  asked ??= get("/api/config").then((answer) => ({ ...guessed(), ...answer }), guessed);
  return asked;
}

function guessed() {
  return { proxy_port: 8080, dashboard_port: Number(location.port) || 3000, version: "" };
}

/** Change something on the server. @param {"POST"|"PUT"|"DELETE"} method @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers] @returns {Promise<any>} its answer, null where it says nothing */
export async function send(method, path, body, headers) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { accept: "application/json", ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) }, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError("LLMFlow does not answer. Is it still running?");
  }
  if (!answer.ok) throw new ApiError(await sentence(answer), answer.status);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}
