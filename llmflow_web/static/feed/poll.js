// @ts-check
/** In place of a socket that will not stand: ask every three seconds. */
import { get } from "./api.js";

const POLL_MS = 3000;

/** @param {import("./live.js").Live} live @param {(name: string, detail?: any) => void} tell @param {() => void} settle */
export async function poll(live, tell, settle) {
  try {
    const stats = await get("/api/stats");
    live.isPolling = true;
    tell("stats", stats);
    if (!document.hidden && !live.isPaused) tell("refresh");
  } catch {
    live.isPolling = false;
  }
  if (live.socket?.readyState === 1) return;
  settle();
  live.poller = setTimeout(() => poll(live, tell, settle), POLL_MS);
}
