// @ts-check
/** The palette and icon that span types share: a kind for each of them. Pure. */

const KINDS = /** @type {Record<string, string>} */ ({
  llm: "llm", tool: "tool", retrieval: "retrieval", rerank: "retrieval", agent: "agent", chain: "chain", trace: "chain",
  prompt: "chain", embedding: "embedding", guardrail: "guardrail", evaluator: "guardrail",
});

/** The palette and icon a span type shares. @param {string|null|undefined} type */
export function kindOf(type) {
  return KINDS[type ?? ""] ?? "other";
}
