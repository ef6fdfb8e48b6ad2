import type { Tally } from "../journal/tally.ts";
import { useReaders } from "./hooks.ts";

/** What was promised, in figures: `lost` and `duplicates` stay at 0. */
export function Figures({ tally, lastEventId }: { tally: Tally; lastEventId: string }) {
  const readers = useReaders();
  const { received, lost, duplicates, gaps, told, repeated } = tally;
  return (
    <section aria-label="Figures">
      <dl className="figures">
        <Figure name="received" label="Events received" value={received} note="each counted once" />
        <Figure name="lost" label="Lost" value={lost} note="holes nobody told of" isBad={lost > 0} />
        <Figure
          name="duplicates"
          label="Duplicates"
          value={duplicates}
          note={repeated ? `${repeated} sent to both hubs` : "ids that came twice"}
          isBad={duplicates > 0}
        />
        <Figure name="gaps" label="Gaps" value={gaps} note={`${told} known missing`} />
        <Figure name="readers" label="Streams at the hub" value={readers ?? "–"} note="of this session" />
        <Figure name="last-id" label="Last event id" value={lastEventId || "–"} note="to resume from" isText />
      </dl>
    </section>
  );
}

interface FigureProps {
  name: string;
  label: string;
  value: number | string;
  note: string;
  isBad?: boolean;
  isText?: boolean;
}

function Figure({ name, label, value, note, isBad = false, isText = false }: FigureProps) {
  return (
    <div className={`card figure${isBad ? " bad" : ""}`}>
      <dt>{label}</dt>
      <dd className={isText ? "text" : "number"} data-testid={name} title={isText ? String(value) : undefined}>
        {value}
      </dd>
      <dd className="note">{note}</dd>
    </div>
  );
}
