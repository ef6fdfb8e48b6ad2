import { useId, useRef, useState, type KeyboardEvent } from "react";
import { bottomOf, ROW_HEIGHT } from "./geometry.ts";
import { commandOf, type Command } from "./keys.ts";
import { LogList } from "./LogList.tsx";
import { LineText } from "./LogRow.tsx";
import { LogStatus } from "./LogStatus.tsx";
import { LogTools } from "./LogTools.tsx";
import { LOG_LIMITS, type LogLimits } from "./store.ts";
import { useLog } from "./useLog.ts";
import { useViewport } from "./useViewport.ts";
import "./log.css";

export interface LogPanelProps {
  /** A stream of `log` and `end`: `/deployments/ID/logs/stream` of a hub. Another one begins an empty panel. */
  url: string;
  title: string;
  /** How many of the lines that the hub keeps come first. Default: all. */
  tail?: number;
  limits?: LogLimits;
}

/** A log, live: to follow, hold, search and read, whatever is in it. */
export function LogPanel({ limits = LOG_LIMITS, ...props }: LogPanelProps) {
  return <Panel key={props.url} limits={limits} {...props} />;
}

function Panel({ url, title, tail, limits }: LogPanelProps & { limits: LogLimits }) {
  const id = useId();
  const { store, search, source, sse, changed } = useLog(url, limits, tail);
  const viewport = useViewport(store);
  const [picked, setPicked] = useState<number | null>(null);
  const [hasTimes, setTimes] = useState(false);
  const [isWhole, setWhole] = useState(false);
  const [words, setWords] = useState("");
  const searchBox = useRef<HTMLInputElement>(null);
  const current = picked === null || picked >= store.next ? null : Math.max(picked, store.first);
  const row = current === null ? undefined : store.get(current);

  /** Where one looks: at the row that was picked, or else at what is seen. */
  const here = current ?? (viewport.isFollowing ? store.next : store.first + Math.ceil(viewport.box.top / ROW_HEIGHT) - 1);
  const go = (n: number | undefined): void => {
    if (n === undefined || n < store.first || n >= store.next) return;
    setPicked(n);
    viewport.show(n);
  };
  const find = (way: "after" | "before"): void => {
    // Who asks for the next one before all are found gets it all the same.
    search.advance(Infinity);
    go(search[way](here));
  };
  const onWords = (next: string): void => {
    setWords(next);
    search.set(next);
    changed();
  };
  const nextGap = (): void => go(store.gaps.find((n) => n > here) ?? store.gaps[0]);
  const togglePause = (): void => {
    if (store.waiting === null) store.pause();
    else store.resume();
    changed();
  };
  const follow = (): void => {
    setPicked(null);
    viewport.follow();
  };
  const commands: Record<Command, () => void> = {
    down: () => go(Math.min(here + 1, store.next - 1)),
    up: () => go(Math.max(here - 1, store.first)),
    first: () => go(store.first),
    last: () => go(store.next - 1),
    search: () => searchBox.current?.select(),
    nextMatch: () => find("after"),
    previousMatch: () => find("before"),
    nextGap,
    pause: togglePause,
    follow,
    whole: () => setWhole(!isWhole),
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const command = commandOf(event);
    // What is typed is text, and a button has its own keys.
    const isField = event.target instanceof HTMLInputElement;
    const isButton = event.target instanceof HTMLButtonElement && event.key === "Enter";
    if (!command || isField || isButton) return;
    event.preventDefault();
    commands[command]();
  };

  return (
    <section className="card log-panel" aria-labelledby={`${id}-title`} data-testid="log-panel" onKeyDown={onKeyDown}>
      <div className="title">
        <h2 id={`${id}-title`}>{title}</h2>
        <LogStatus store={store} sse={sse} source={source} />
      </div>
      <LogTools
        searchBox={searchBox}
        words={words}
        onWords={onWords}
        found={search.count}
        place={current === null ? 0 : search.placeOf(current)}
        isSearching={search.isBehind}
        gaps={store.gaps.length}
        waiting={store.waiting}
        isFollowing={viewport.isFollowing}
        below={Math.round((bottomOf(viewport.box) - viewport.box.top) / ROW_HEIGHT)}
        hasTimes={hasTimes}
        isWhole={isWhole}
        onTimes={() => setTimes(!hasTimes)}
        does={commands}
      />
      <LogList
        id={`${id}-list`}
        label={`Lines of ${title}`}
        store={store}
        viewport={viewport}
        current={current}
        pattern={search.pattern}
        hasTimes={hasTimes}
        onPick={setPicked}
      />
      {isWhole && (
        <div className="log-whole" role="region" aria-label="The whole line" tabIndex={0} data-testid="log-whole">
          {row?.kind === "line" ? (
            <LineText line={row.line} pattern={search.pattern} isWhole />
          ) : (
            <p className="hint">Pick a line to read all of it.</p>
          )}
        </div>
      )}
      <p className="hint log-keys">
        In the log: <kbd>j</kbd> <kbd>k</kbd> line, <kbd>g</kbd> <kbd>G</kbd> ends, <kbd>/</kbd> search, <kbd>n</kbd> <kbd>N</kbd>{" "}
        found, <kbd>]</kbd> gap, <kbd>p</kbd> pause, <kbd>f</kbd> follow, <kbd>Enter</kbd> whole line
      </p>
    </section>
  );
}
