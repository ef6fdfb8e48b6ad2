/** How far back the plot looks, seconds. */
export const SECONDS = 60;

/** Counts events by the second, for the last minute; one number for each second, however many events there are. */
export interface Rate {
  count(now: number): void;
  /** A gap came in this second. */
  mark(now: number): void;
  /** The last full seconds, the oldest first. The one that is still going on would always look like a dip. */
  read(now: number): readonly Second[];
}

/** What came in a second. */
export interface Second {
  readonly events: number;
  readonly gap: boolean;
}

const NOTHING: Second = { events: 0, gap: false };

export function createRate(): Rate {
  /** Second -> what came in it. Only those in which something came, and none that is over a minute old. */
  const seconds = new Map<number, Second>();

  const change = (now: number, with_: (second: Second) => Second): void => {
    const second = Math.floor(now / 1_000);
    seconds.set(second, with_(seconds.get(second) ?? NOTHING));
    for (const old of seconds.keys()) if (old < second - SECONDS) seconds.delete(old);
  };

  return {
    count: (now) => change(now, ({ events, gap }) => ({ events: events + 1, gap })),
    mark: (now) => change(now, ({ events }) => ({ events, gap: true })),
    read(now) {
      const first = Math.floor(now / 1_000) - SECONDS;
      return Array.from({ length: SECONDS }, (_, index) => seconds.get(first + index) ?? NOTHING);
    },
  };
}
