// @ts-check
/** All columns of the list: those it has anyway, and those that must be chosen. */
import { COLUMNS, plain } from "./columns.js";

/** @type {import("./columns.js").TraceColumn[]} */
export const ALL = [
  ...COLUMNS,
  { key: "session", label: "Session", width: 130, rank: 20, render: plain("session", (row) => row.session_id) },
  { key: "user", label: "User", width: 100, rank: 20, render: plain("user", (row) => row.user_id) },
  { key: "kind", label: "Kind", width: 80, rank: 20, render: plain("kind", (row) => row.span_type) },
  { key: "service", label: "Service", width: 110, rank: 20, render: plain("service", (row) => row.service_name) },
  { key: "tool", label: "Tool", width: 90, rank: 20, render: plain("tool", (row) => row.tool) },
  { key: "prompt", label: "Prompt", width: 110, rank: 20, render: plain("prompt", (row) => row.prompt_name) },
  { key: "finish", label: "Finish", width: 80, rank: 20, render: plain("finish", (row) => row.finish_reason) },
];
