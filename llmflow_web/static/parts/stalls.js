// @ts-check
/** Where the streams in sight stood still: their arrival times are asked for when their rows have been looked at for a moment. */
import { get } from "../feed/api.js";
import { STALL_MS, stalls } from "../lib/waterfall.js";
import { debounce } from "./dom.js";

const LOOK_MS = 150;
const MOST_AT_ONCE = 40;

/** @param {string} trace @param {() => void} onNew */
export function mountStalls(trace, onNew) {
  /** @type {Map<string, import("../lib/waterfall.js").Range[]>} */
  const known = new Map();

  const ask = debounce(LOOK_MS, async (/** @type {any[]} */ spans) => {
    const wanted = spans.filter((span) => mayStall(span) && !known.has(span.id)).slice(0, MOST_AT_ONCE);
    if (!wanted.length) return;
    for (const span of wanted) known.set(span.id, []);
    let isNew = false;
    for (const span of wanted) {
      const found = stalls(await arrivalsOf({ id: span.id, trace_id: span.trace_id ?? trace }));
      known.set(span.id, found);
      isNew ||= found.length > 0;
    }
    if (isNew) onNew();
  });

  return { look: ask, of: (/** @type {any} */ span) => known.get(span.id) ?? [] };
}

/** Only a stream that we saw ourselves, and that ran long enough after its first token. */
function mayStall(span) {
  return span.is_stream && (span.source === "proxy" || span.source === "passthrough") && span.ttft_ms != null && span.duration_ms - span.ttft_ms > STALL_MS;
}

/** (offset, ms) of each piece of a stream as it came; empty where nothing was kept. @returns {Promise<[number, number][]>} */
export async function arrivalsOf(span) {
  try {
    const answer = await get(`/api/spans/${encodeURIComponent(span.id)}/body`, { part: "arrivals", trace_id: span.trace_id });
    return Array.isArray(answer) ? answer : [];
  } catch {
    return []; // shown without their times
  }
}
