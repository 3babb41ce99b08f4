// @ts-check
/** What became of a call: one word and one icon for each outcome, so that colour is never the only sign. Pure. */
import { visible } from "./figures.js";

const WORDS = /** @type {Record<number, string>} */ ({
  400: "Bad request", 401: "No key", 402: "Unpaid", 403: "Forbidden", 404: "Not found", 408: "Timed out", 413: "Too large",
  422: "Invalid", 429: "Rate limit", 499: "Client left", 500: "Error", 502: "Cut off", 503: "Overloaded", 504: "Timed out",
  529: "Overloaded",
});

/**
 * @param {{status?: number|null, error?: string|null, error_count?: number|null, running?: boolean, ending?: string|null}} row
 * @returns {{kind: "ok"|"error"|"warn"|"running", icon: string, word: string, label: string}}
 */
export function outcome(row) {
  if (row.running) return { kind: "running", icon: "running", word: "Running", label: "running" };
  const status = row.status ?? null;
  if (status != null && status >= 400) {
    const word = WORDS[status] ?? (status >= 500 ? "Error" : "Refused");
    return { kind: "error", icon: "error", word: `${status}`, label: `error ${status}, ${word}` };
  }
  if (row.error_count) {
    return { kind: "warn", icon: "warn", word: `${row.error_count} err`, label: `answered, ${row.error_count} failed inside` };
  }
  return { kind: "ok", icon: "ok", word: "OK", label: status == null ? "ok" : `ok ${status}` };
}

/** A sentence for a status code of 400 and above. @param {number|null|undefined} status */
export function statusWord(status) {
  return status == null ? "" : (WORDS[status] ?? (status >= 400 ? "Error" : "OK"));
}

/** The name someone gave a span; null where it only says again which operation asked which model. */
export function givenName(row) {
  const made = [row.model, row.request_model].map((model) => `${row.operation} ${model}`);
  return row.span_name && !made.includes(row.span_name) ? row.span_name : null;
}

/** Title of a row: its name, else what was asked of which model, as OpenTelemetry names such spans. */
export function title(row) {
  const model = row.model ?? row.request_model;
  return visible(row.span_name || (row.operation && model ? `${row.operation} ${model}` : row.operation || row.request_path || model || row.span_type || "call"));
}
