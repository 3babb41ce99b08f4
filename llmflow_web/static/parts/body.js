// @ts-check
/** A stored body of which the answer held only the head: the rest comes slice by slice, when asked for. */
import { url } from "../feed/api.js";
import { slice } from "../feed/more.js";

const HEAD_BYTES = 65_536;
const SLICE_BYTES = 262_144;

export class Body {
  /** @param {{body: any, size?: number, is_partial?: boolean}} message @param {"request"|"response"} part @param {{id: string, trace_id: string}} span */
  constructor(message, part, span) {
    this.part = part;
    this.span = span;
    this.isText = typeof message.body === "string";
    this.isPartial = Boolean(message.is_partial) && this.isText;
    this.text = this.isText ? /** @type {string} */ (message.body) : "";
    this.size = message.size ?? this.text.length;
    this.offset = 0;
    this.shown = this.isPartial ? HEAD_BYTES : this.size;
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // the head, which the server decoded, has it too
  }

  get isWhole() {
    return !this.isPartial;
  }

  /** Where the whole of it is. */
  get address() {
    return url(`/api/spans/${encodeURIComponent(this.span.id)}/body`, { part: this.part, trace_id: this.span.trace_id, limit: 8 * 1024 * 1024 });
  }

  /** Get the next slice. @returns {Promise<{text: string, isFromStart: boolean}>} */
  async more() {
    const isFromStart = this.offset === 0; // the head may end inside a character: the first slice replaces it
    const piece = await slice(this.span, this.part, this.offset, isFromStart ? HEAD_BYTES + SLICE_BYTES : SLICE_BYTES);
    this.offset += piece.data.byteLength;
    this.size = piece.size || this.size;
    this.isPartial = piece.data.byteLength > 0 && this.offset < this.size;
    this.shown = this.offset;
    const text = this.decoder.decode(piece.data, { stream: this.isPartial });
    this.text = isFromStart ? text : this.text + text;
    return { text, isFromStart };
  }
}
