import type { Gap, SSEEvent } from "watertight";

/** A line of a log, whoever fed it. */
export interface LogLine {
  readonly text: string;
  /** Its number in the whole output, from 1; the same number never means two lines of one run. */
  readonly line?: number;
  readonly stream?: "stdout" | "stderr";
  /** When its first byte was read, seconds since the Unix epoch. */
  readonly at?: number;
  /** It has not ended yet: the next record with the same number replaces it. */
  readonly partial?: true;
  /** It had so many bytes; only its beginning is here. */
  readonly cut?: number;
}

/** How a deployment ended. */
export interface LogEnd {
  /** `null` where there is none, or none is known. */
  readonly exitCode: number | null;
  /** Seconds since the Unix epoch. */
  readonly endedAt: number | null;
}

/**
 * Reads an `event: log`. A JSON object with a `text` (or, without a `line`, a `message` or `msg`) is shown as that; everything
 * else as it came.
 */
export function readLine({ data, text }: Pick<SSEEvent, "data" | "text">): LogLine {
  if (!isRecord(data)) return { text };
  const words = [data["text"], ...("line" in data ? [] : [data["message"], data["msg"]])].find(
    (word) => typeof word === "string",
  );
  if (typeof words !== "string") return { text };
  const { line, stream, at, partial, cut } = data;
  return {
    text: words,
    ...(Number.isSafeInteger(line) && Number(line) > 0 && { line: Number(line) }),
    ...((stream === "stdout" || stream === "stderr") && { stream }),
    ...(isTime(at) && { at }),
    ...(partial === true && { partial }),
    ...(typeof cut === "number" && cut > 0 && { cut }),
  };
}

/** Reads an `event: end`; that it ended counts, whatever else it says. */
export function readEnd({ data }: Pick<SSEEvent, "data">): LogEnd {
  const { exitCode, endedAt } = isRecord(data) ? data : {};
  return {
    exitCode: typeof exitCode === "number" && Number.isInteger(exitCode) ? exitCode : null,
    endedAt: isTime(endedAt) ? endedAt : null,
  };
}

/** Reads an `event: gap`, also of a server that is no hub. */
export function readGap({ data }: Pick<SSEEvent, "data">): Gap {
  const { from, to, missed, reason } = isRecord(data) ? data : {};
  return {
    from: typeof from === "string" ? from : null,
    to: typeof to === "string" ? to : null,
    missed: typeof missed === "number" ? missed : null,
    reason: typeof reason === "string" ? reason : "unknown",
  };
}

/** Whether it is a time that a `Date` can show, seconds. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= 8.64e12;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
