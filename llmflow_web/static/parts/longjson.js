// @ts-check
/** Long JSON as a tree: a worker fetches and reads it and keeps it, the page asks for what is looked at. */
import { bytes } from "../lib/format.js";
import { h, put } from "./dom.js";
import { treeOf } from "./json.js";

export const LONG_JSON = 100_000;

/** Workers and the box each serves; one whose box has gone is ended when the next is begun. @type {Map<Worker, HTMLElement>} */
const busy = new Map();

/** @param {{text?: string, address?: string, size?: number|null, open?: number, otherwise?: () => any}} given text, or an address of ours where it is; `otherwise` is shown if it is no JSON */
export function longJson({ text, address, size = null, open = 2, otherwise }) {
  const box = h("div", { class: "long", "aria-busy": "true" }, h("p", { class: "muted" }, `Reading ${bytes(size ?? text?.length)}…`));
  const ask = begin(box);
  ask(text === undefined ? { do: "fetch", address } : { do: "parse", text }).then((root) => {
    put(box, treeOf({
      root,
      children: (path, from, count) => ask({ do: "children", path, from, count }),
      text: (path) => ask({ do: "text", path }),
    }, { open }));
  }, (error) => put(box, otherwise ? otherwise() : h("p", { class: "hint" }, `This could not be read as JSON: ${error.message}`)))
    .finally(() => box.removeAttribute("aria-busy"));
  return box;
}

/** @param {HTMLElement} box @returns {(question: Record<string, unknown>) => Promise<any>} */
function begin(box) {
  for (const [worker, served] of busy) {
    if (served.isConnected) continue;
    worker.terminate();
    busy.delete(worker);
  }
  const worker = new Worker("/lib/parser.js", { type: "module" });
  busy.set(worker, box);
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  let last = 0;
  worker.onmessage = (event) => {
    const { id, value, error } = event.data;
    const one = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) one?.resolve(value);
    else one?.reject(new Error(error));
  };
  worker.onerror = (event) => {
    for (const one of waiting.values()) one.reject(new Error(event.message || "the reader could not start"));
    waiting.clear();
  };
  return (question) => new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, { resolve, reject });
    worker.postMessage({ id: last, ...question });
  });
}
