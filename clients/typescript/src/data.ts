import type { DataParser, SSEEvent } from "./types.ts";

/** Reads the data of an event: by the application's parser for its type, else as JSON where it is JSON. */
export function readEvent(type: string, text: string, id: string, parser?: DataParser): SSEEvent {
  const data = typeof parser === "function" ? parser(text) : parser ? parser.parse(json(text)) : json(text);
  return { type, data, text, id };
}

/** The JSON value, or the text if it is none. The look at the first character spares text a costly exception. */
function json(text: string): unknown {
  try {
    return /^\s*[[{"\-\dtfn]/.test(text) ? JSON.parse(text) : text;
  } catch {
    return text;
  }
}
