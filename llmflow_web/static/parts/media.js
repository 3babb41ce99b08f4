// @ts-check
/** Pictures, sound and files of a message. Only what travelled with the call is shown; anything elsewhere is a link, never loaded. */
import { bytes, head, visible } from "../lib/format.js";
import { h } from "./dom.js";

const SHOWN = /^data:(image\/(?!svg)[\w.+-]+|audio\/[\w.+-]+)[;,]/i;
const LABELS = { image: "Image", audio: "Audio", file: "File" };

/** @param {"image"|"audio"|"file"} kind @param {{url?: string, data?: string, format?: string, name?: string, mime_type?: string, text?: string}} part */
export function media(kind, part) {
  const address = addressOf(kind, part);
  const label = LABELS[kind];
  const name = part.name ? visible(part.name) : "";
  if (kind !== "file" && SHOWN.test(address)) {
    return kind === "image" ? h("img", { class: "picture", src: address, alt: name || label, loading: "lazy" }) : h("audio", { src: address, controls: true, "aria-label": name || label });
  }
  if (/^https?:\/\//i.test(address)) {
    return h("p", null, `${label}${name ? ` ${name}` : ""}: `, h("a", { href: address, target: "_blank", rel: "noopener noreferrer", referrerpolicy: "no-referrer" }, visible(head(address, 120))), h("span", { class: "muted" }, " (opens elsewhere)"));
  }
  if (/^data:/i.test(address)) {
    return h("p", null, `${label}${name ? ` ${name}` : ""} `, h("span", { class: "muted" }, `${visible(head(address.slice(5, address.search(/[;,]|$/)), 60))}, ${bytes(Math.round(address.length * 0.75))} `),
      h("a", { href: address, download: name || kind }, "Save"));
  }
  return h("p", { class: "muted" }, `${label}${name ? ` ${name}` : ""} (${address ? visible(head(address, 80)) : "not kept"})`);
}

/** @param {"image"|"audio"|"file"} kind @param {{url?: string, data?: string, format?: string, mime_type?: string}} part @returns {string} */
function addressOf(kind, part) {
  if (typeof part.url === "string" && part.url) return part.url;
  if (typeof part.data !== "string" || !part.data) return "";
  if (/^(data|https?):/i.test(part.data)) return part.data;
  const type = part.mime_type ?? (kind === "file" ? "application/octet-stream" : `${kind}/${part.format ?? (kind === "audio" ? "wav" : "png")}`);
  return `data:${type.replace(/[^\w/.+-]/g, "")};base64,${part.data}`;
}
