// @ts-check
/** The worker that reads long JSON, so that the page does not stand still; it keeps the value and hands out what is looked at. */
import { at, children, node } from "./nodes.js";

/** @type {any} */
let value;

/** @param {{id: number, do: "parse"|"fetch"|"children"|"text", text?: string, address?: string, path?: (string|number)[], from?: number, count?: number, space?: number}} ask */
async function answer(ask) {
  switch (ask.do) {
    case "parse":
      value = JSON.parse(ask.text ?? "");
      return node(null, value);
    case "fetch": {
      const reply = await fetch(ask.address ?? "");
      if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
      value = JSON.parse(await reply.text());
      return node(null, value);
    }
    case "children":
      return children(value, ask.path ?? [], ask.from ?? 0, ask.count ?? 100);
    default: {
      const found = at(value, ask.path ?? []);
      return typeof found === "string" ? found : JSON.stringify(found, null, ask.space ?? 2);
    }
  }
}

addEventListener("message", async (event) => {
  const ask = /** @type {MessageEvent} */ (event).data;
  try {
    postMessage({ id: ask.id, value: await answer(ask) });
  } catch (error) {
    postMessage({ id: ask.id, error: String(/** @type {any} */ (error)?.message ?? error) });
  }
});
