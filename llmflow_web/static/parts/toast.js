// @ts-check
/** A line at the foot of the screen about what has just been done; it goes by itself, unless someone is reading it. */
import { announce, h, icon, iconButton, stylesheet } from "./dom.js";

const STAYS_MS = 6000;
const MOST = 3;

/** @param {string} text @param {{isError?: boolean}} [how] an error stays until it is closed */
export function toast(text, { isError = false } = {}) {
  stylesheet("/css/extra.css");
  let place = document.querySelector(".toasts");
  if (!place) document.body.append(place = h("div", { class: "toasts" }));
  const close = () => line.remove();
  const line = h("div", { class: `toast${isError ? " is-error" : ""}` }, icon(isError ? "error" : "ok"), h("span", null, text), iconButton("close", "Close", close));
  place.append(line);
  while (place.children.length > MOST) place.firstElementChild?.remove();
  announce(text, isError);
  if (isError) return;
  let timer = setTimeout(close, STAYS_MS);
  line.addEventListener("pointerenter", () => clearTimeout(timer));
  line.addEventListener("pointerleave", () => { timer = setTimeout(close, STAYS_MS); });
}
