import { SSEError } from "./errors.ts";
import type { DataParser, SSEEvent } from "./types.ts";

/** Reads the data of an event: by the application's parser for its type, else as JSON where it is JSON. */
export function readEvent(type: string, text: string, id: string, parser?: DataParser): SSEEvent {
  try {
    return { type, data: parser ? parse(parser, text) : json(text), text, id };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SSEError("parse", `the data of an event of type ${type} was refused: ${reason}`, { cause });
  }
}

function parse(parser: DataParser, text: string): unknown {
  if (typeof parser === "function") return parser(text);
  const value = json(text);
  if ("parse" in parser) return parser.parse(value);
  const result = parser["~standard"].validate(value) as { value?: unknown; issues?: { message: string }[] };
  if (result instanceof Promise) throw new Error("its schema is asynchronous");
  if (result.issues) throw new Error(result.issues.map((issue) => issue.message).join("; "));
  return result.value;
}

/** The JSON value, or the text if it is none. The look at the first characters spares text a costly exception. */
function json(text: string): unknown {
  if (!/^\s*(?:[{["\-\d]|true|false|null)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
