import { createTime, type Clock, type Time, type Timer } from "./environment.ts";
import { ORIGIN_IDS, ORIGIN_WAIT, ORIGIN_WAITING } from "./limits.ts";
import type { EventOrigin } from "./types.ts";

/** An event that came while a publish was under way: whose it is will be known when that is answered. */
interface Waiting {
  readonly id: string;
  /** The requests that were under way when it came. */
  readonly requests: Set<symbol>;
  readonly timer: Timer;
  readonly resolve: (own: boolean) => void;
}

/**
 * Knows which events this page published: give one to `publish` and to the clients of the page, and each event says in `own`
 * whether it is an echo.
 *
 * It goes by the ids that the hub gives back. An event may be faster than the answer to its publish: so while a request is
 * under way, `own` of what comes is a promise. It is kept as soon as the id is known or the requests that were under way when the
 * event came have ended, and at the latest after ten seconds. In doubt an event is somebody else's: it is shown
 * twice rather than not at all.
 */
export class Origin implements EventOrigin {
  readonly #time: Time;
  /** The latest ids, oldest first. */
  readonly #ids = new Set<string>();
  readonly #requests = new Set<symbol>();
  readonly #waiting = new Set<Waiting>();

  /** @param clock instead of the global timers */
  constructor(clock?: Clock) {
    this.#time = createTime(clock, false);
  }

  owns(id: string): boolean | Promise<boolean> {
    if (!id || !this.#requests.size || this.#ids.has(id)) return this.#ids.has(id);
    return new Promise((resolve) => {
      const timer = this.#time.createTimer(() => this.#tell(waiting));
      const waiting: Waiting = { id, resolve, requests: new Set(this.#requests), timer };
      timer.set(ORIGIN_WAIT);
      this.#waiting.add(waiting);
      const [oldest] = this.#waiting;
      if (oldest && this.#waiting.size > ORIGIN_WAITING) this.#tell(oldest);
    });
  }

  /**
   * A request begins that publishes events. What this returns is called once it is over, with the ids that it was answered with.
   *
   * @internal
   */
  begin(): (ids: readonly string[]) => void {
    const request = Symbol();
    this.#requests.add(request);
    return (ids) => {
      for (const id of ids) this.#ids.add(id);
      for (const oldest of this.#ids) {
        if (this.#ids.size <= ORIGIN_IDS) break;
        this.#ids.delete(oldest);
      }
      this.#requests.delete(request);
      for (const waiting of this.#waiting) {
        waiting.requests.delete(request);
        if (!waiting.requests.size || this.#ids.has(waiting.id)) this.#tell(waiting);
      }
    };
  }

  #tell(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    waiting.timer.clear();
    waiting.resolve(this.#ids.has(waiting.id));
  }
}
