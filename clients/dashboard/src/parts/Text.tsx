import { clip, manyLines, oneLine } from "../model/text.ts";

/** A name of somebody else's. It cannot turn what stands beside it, and nothing in it is unseen. */
export function Name({ of, max = 160 }: { of: string; max?: number }) {
  const { text, more } = clip(of, max);
  return (
    <bdi className="name" title={more ? oneLine(of).slice(0, 1_000) : undefined}>
      {oneLine(text)}
      {more > 0 && "…"}
    </bdi>
  );
}

/** Data of somebody else's, with its lines. */
export function Lines({ of }: { of: string }) {
  return (
    <pre className="lines" tabIndex={0}>
      {manyLines(of)}
    </pre>
  );
}
