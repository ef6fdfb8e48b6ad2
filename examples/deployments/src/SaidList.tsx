import type { Said } from "./said.ts";

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** What ended streams, in the hub's words and codes; the newest first. */
export function SaidList({ said }: { said: readonly Said[] }) {
  return (
    <section className="card" aria-labelledby="said">
      <h2 id="said">What streams were told</h2>
      <ol className="said" data-testid="said">
        {said.toReversed().map(({ n, at, stream, code, words }) => (
          <li key={n} data-stream={stream} data-code={code}>
            <span className="hint number">{clock.format(at)}</span> {stream}: <strong>{code}</strong> {words}
          </li>
        ))}
      </ol>
      {!said.length && <p className="hint">Nothing yet: no stream was ended or refused.</p>}
    </section>
  );
}
