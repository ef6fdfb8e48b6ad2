import type { KeyboardEvent, RefObject } from "react";
import type { Command } from "./keys.ts";

interface LogToolsProps {
  searchBox: RefObject<HTMLInputElement | null>;
  words: string;
  onWords: (words: string) => void;
  /** Lines that were found, and which one of them is the current one, from 1. */
  found: number;
  place: number;
  isSearching: boolean;
  gaps: number;
  /** Rows that came during the pause; `null` without one. */
  waiting: number | null;
  isFollowing: boolean;
  /** Rows below those that are seen. */
  below: number;
  hasTimes: boolean;
  isWhole: boolean;
  onTimes: () => void;
  does: Readonly<Record<Command, () => void>>;
}

/** Everything that can be done with a log, with the mouse. */
export function LogTools(props: LogToolsProps) {
  const { waiting, isFollowing, below, gaps, does } = props;
  return (
    <div className="log-tools" role="group" aria-label="Log">
      <LogSearch {...props} />
      <Tool name="log-follow" isOn={isFollowing} does={does.follow}>
        Follow <Count n={isFollowing ? 0 : below} />
      </Tool>
      <Tool name="log-pause" isOn={waiting !== null} does={does.pause}>
        {waiting === null ? "Pause" : "Resume"} <Count n={waiting ?? 0} />
      </Tool>
      <Tool name="log-gap" does={gaps ? does.nextGap : undefined}>
        Next gap <Count n={gaps} />
      </Tool>
      <Tool name="log-times" isOn={props.hasTimes} does={props.onTimes}>
        Times
      </Tool>
      <Tool name="log-whole-line" isOn={props.isWhole} does={does.whole}>
        Whole line
      </Tool>
    </div>
  );
}

function LogSearch({ searchBox, words, onWords, found, place, isSearching, does }: LogToolsProps) {
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter") does[event.shiftKey ? "previousMatch" : "nextMatch"]();
    else if (event.key === "Escape") onWords("");
    else return;
    event.preventDefault();
  };
  const isIdle = !words || !found;
  return (
    <div className="log-search" role="search">
      <input
        ref={searchBox}
        type="search"
        placeholder="Search"
        aria-label="Search the log"
        data-testid="log-search"
        value={words}
        maxLength={500}
        onChange={(event) => onWords(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <span className="number log-found" role="status" data-testid="log-found">
        {words && (isSearching ? "searching" : found ? `${place || "–"} of ${found.toLocaleString()}` : "not found")}
      </span>
      <Tool name="log-previous" label="Previous line found" does={isIdle ? undefined : does.previousMatch}>
        ↑
      </Tool>
      <Tool name="log-next" label="Next line found" does={isIdle ? undefined : does.nextMatch}>
        ↓
      </Tool>
    </div>
  );
}

interface ToolProps {
  name: string;
  label?: string;
  /** Of a button that stays pressed. */
  isOn?: boolean;
  does: (() => void) | undefined;
  children: React.ReactNode;
}

/** A button. Out of use it is not `disabled`, which would take the focus away from who has just pressed it. */
function Tool({ name, label, isOn, does, children }: ToolProps) {
  return (
    <button type="button" data-testid={name} aria-label={label} aria-pressed={isOn} aria-disabled={!does} onClick={does}>
      {children}
    </button>
  );
}

function Count({ n }: { n: number }) {
  return <span className="log-count number">{n > 0 && n.toLocaleString()}</span>;
}
