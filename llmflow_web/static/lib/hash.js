// @ts-check
/** Where the addresses of the hash router have gone. Pure. */

/** Old addresses of the hash router, as paths. @param {string} hash @returns {string|null} */
export function pathFromHash(hash) {
  const match = /^#(timeline|traces|sessions|logs|metrics|models|analytics|setup)\b(.*)$/.exec(hash);
  if (!match) return null;
  const trace = new URLSearchParams(match[2].replace(/^\?/, "")).get("trace");
  return match[1] === "traces" && trace ? `/traces/${encodeURIComponent(trace)}` : `/${match[1]}`;
}
