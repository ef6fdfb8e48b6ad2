import { useLayoutEffect, useRef, useState, type RefObject } from "react";
import { flushSync } from "react-dom";
import { bottomOf, reveal, ROW_HEIGHT, rowsIn, wantsToFollow, type Box } from "./geometry.ts";
import type { LogStore } from "./store.ts";

export interface Viewport {
  /** Of the element that scrolls. */
  readonly ref: RefObject<HTMLDivElement | null>;
  readonly box: Box;
  readonly rows: { readonly from: number; readonly until: number };
  readonly isFollowing: boolean;
  onScroll(): void;
  follow(): void;
  /** Scrolls to a row. Who looks for one does not follow. */
  show(n: number): void;
}

/** Which rows are seen. It keeps the line under one's eyes where it is when the oldest rows go. */
export function useViewport({ first, next }: Pick<LogStore, "first" | "next">): Viewport {
  const ref = useRef<HTMLDivElement>(null);
  const [height, setHeight] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  /** Where the top is, counted from the first row that ever was, pixels. */
  const [place, setPlace] = useState(0);
  const bottom = bottomOf({ height, first, next });
  const top = isFollowing ? bottom : Math.max(0, Math.min(place - first * ROW_HEIGHT, bottom));
  const box = { top, height, first, next };
  /** What the page shows. */
  const shown = useRef(box);

  useLayoutEffect(() => {
    const element = ref.current;
    const before = shown.current;
    shown.current = box;
    // Only where we move it: else it is where the one who scrolls has it.
    if (element && (top !== before.top || bottom !== bottomOf(before)) && Math.abs(element.scrollTop - top) > 1) {
      element.scrollTop = top;
    }
  });

  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = (): void => setHeight(element.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const moveTo = (to: number, follows: boolean): void => {
    setPlace(shown.current.first * ROW_HEIGHT + to);
    setFollowing(follows);
  };

  return {
    ref,
    box,
    rows: rowsIn(box),
    isFollowing,
    onScroll() {
      const at = ref.current?.scrollTop ?? 0;
      const { current } = shown;
      if (Math.abs(at - current.top) < 1) return;
      const follows = wantsToFollow(isFollowing, current.top, at, bottomOf(current));
      // Before the frame is painted, or it would show nothing where there are no rows yet.
      if (!follows || !isFollowing) flushSync(() => moveTo(at, follows));
    },
    follow: () => setFollowing(true),
    show: (n) => moveTo(reveal(n, shown.current), false),
  };
}
