import type { DataParser, SSEClientOptions, StandardSchema } from "./types.ts";

/** The application's parser for events of `type`, if it gave one. */
export function parserOf({ parsers }: SSEClientOptions<any>, type: string): DataParser | undefined {
  return parsers && Object.hasOwn(parsers, type) ? parsers[type] : undefined;
}

/** What the data of an event is: by the application's parser for its type, else as JSON where it is JSON. */
export function readData(text: string, parser?: DataParser): unknown {
  if (!parser) return json(text);
  // First, because a schema may be a function, too (ArkType's are).
  if ("~standard" in parser) return validate(parser, json(text));
  return typeof parser === "function" ? parser(text) : parser.parse(json(text));
}

/** @throws TypeError with the schema's words. */
function validate(schema: StandardSchema, value: unknown): unknown {
  const result = schema["~standard"].validate(value);
  if (result instanceof Promise) throw new TypeError("an asynchronous schema");
  if (result.issues) throw new TypeError(result.issues.map(({ message }) => message).join("; "));
  return result.value;
}

/** The JSON value, or the text if it is none. The look at the first character spares text a costly exception. */
function json(text: string): unknown {
  try {
    return /^\s*[[{"\-\dtfn]/.test(text) ? JSON.parse(text) : text;
  } catch {
    return text;
  }
}
