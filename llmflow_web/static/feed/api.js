// @ts-check
/** Questions to the server. One error for all that can go wrong; a request that is no longer wanted is aborted by its signal. */

export class ApiError extends Error {
  /** @param {string} message @param {number} [status] */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @param {string} path @param {Record<string, any>} [params] */
export function url(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value != null && value !== "") query.set(name, String(value));
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** @param {string} address @param {AbortSignal} [signal] @returns {Promise<Response>} */
export async function ask(address, signal) {
  // boot.js may have asked this already, while the modules were loading
  const first = /** @type {Map<string, Promise<Response>>|undefined} */ ((window).llmflowFirst);
  const early = first?.get(address);
  first?.delete(address);
  let answer;
  try {
    answer = await (early ?? fetch(address, { signal, headers: { accept: "application/json" } }));
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("LLMFlow does not answer. Is it still running?");
  }
  if (!answer.ok) throw new ApiError(await sentence(answer), answer.status);
  return answer;
}

/** @param {Response} answer */
export async function sentence(answer) {
  try {
    const body = await answer.json();
    const error = body.error?.message ?? body.error ?? body.message;
    if (error) return String(error);
  } catch { /* not JSON: the status must do */ }
  return `${answer.status} ${answer.statusText}`.trim();
}

/** @param {string} path @param {Record<string, any>} [params] @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, params, signal) {
  const answer = await ask(url(path, params), signal);
  try {
    return await answer.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("The answer was not JSON", answer.status);
  }
}

/** One page of the list and the cursor of the next. @param {Record<string, any>} params @param {AbortSignal} [signal] */
export async function list(params, signal) {
  const answer = await ask(url("/api/traces", params), signal);
  const rows = await answer.json();
  return { rows: Array.isArray(rows) ? rows : (rows.traces ?? []), next: answer.headers.get("x-llmflow-next-cursor"), note: answer.headers.get("x-llmflow-note"), change: Number(answer.headers.get("x-llmflow-change")) };
}
