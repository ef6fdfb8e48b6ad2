import { memo, useId } from "react";
import { FamilyTable } from "./FamilyTable.tsx";
import type { Away, Track } from "./history.ts";
import { Plot } from "./Plot.tsx";
import { topOf } from "./scale.ts";
import { sayBytes, sayFigure, sayFigures, sayOf, sayPercent } from "./words.ts";

interface ServiceCardProps {
  track: Track;
  aways: readonly Away[];
  /** Since when nothing comes; `null` while it does. */
  openSince: number | null;
  from: number;
  to: number;
  families: readonly string[] | undefined;
}

/** One service: whose figures these are, what is wrong with it, its plots and its figures. */
export const ServiceCard = memo(function ServiceCard({ track, aways, openSince, from, to, families }: ServiceCardProps) {
  const id = useId();
  const { service, isThere } = track;
  const { error, figures } = service;
  const times = { aways: openSince === null ? aways : [...aways, { from: openSince, to }], from, to, points: track.points };
  const memory = track.points.map((point) => point.memory);
  const limit = figures.get("memoryLimitBytes")?.value ?? 0;
  const hasPlots = service.source !== "prometheus" || figures.size > 0;
  return (
    <article className="card service" aria-labelledby={id} data-testid="service" data-id={service.id}>
      <header className="service-head">
        <h3 id={id}>{service.id}</h3>
        <p className="hint" data-testid="service-of">
          {sayOf(service)}
        </p>
      </header>
      {error && (
        <p className="service-error" data-testid="service-error">
          <strong>{error.code}</strong> {error.detail}
        </p>
      )}
      {!isThere && (
        <p className="service-error" data-testid="service-gone">
          Not among the hub’s services any more
        </p>
      )}
      {hasPlots && (
        <div className="service-plots">
          <Plot
            {...times}
            name="cpu"
            label="CPU"
            now={sayFigure(isThere ? figures.get("cpuPercent") : undefined, sayPercent).text}
            pick={(point) => point.cpu}
            top={topOf(
              track.points.map((point) => point.cpu),
              100,
            )}
            say={sayPercent}
          />
          <Plot
            {...times}
            name="memory"
            label="Memory"
            now={sayFigure(isThere ? figures.get("memoryBytes") : undefined, sayBytes).text}
            pick={(point) => point.memory}
            // Up to its limit, if it is anywhere near: else a small service would be a line on the ground.
            top={limit && Math.max(0, ...memory.map(Number)) > limit / 8 ? topOf(memory, limit, 1024) : topOf(memory, 1024, 1024)}
            say={sayBytes}
          />
        </div>
      )}
      {figures.size > 0 && (
        <dl className="service-figures">
          {sayFigures(service).map(({ name, label, text, reason }) => (
            <div key={name} data-testid={`figure-${name}`} data-known={!reason}>
              <dt>{label}</dt>
              <dd className="number">
                {text}
                {reason && <span className="service-reason">{reason}</span>}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {service.families.length > 0 && <FamilyTable families={service.families} chosen={families} service={service.id} />}
    </article>
  );
});
