/** Every limit of the client that is no option, and every default, with its unit and its reason. */

/** No two attempts come closer than this, milliseconds: `retry: 0` must not spin. */
export const RETRY_MIN = 100;
/** The first delay lies under this unless the server names another base, milliseconds. */
export const RETRY_BASE = 1_000;
/** Later delays lie under this, and no `retry:` raises it, milliseconds. */
export const RETRY_MAX = 30_000;
/** A `Retry-After` above this counts as this, milliseconds: a typing error must not park a page for a year. */
export const RETRY_AFTER_MAX = 300_000;

/** Of `reconnect()`, two attempts come no closer than this, milliseconds: it may be called at each failure. */
export const RECONNECT_MIN = 1_000;

/** The longest delay of a timer, milliseconds: beyond 2^31 it fires at once. */
export const TIMER_MAX = 2e9;

/** Token, head and (from a hub) first byte have to be there within this, milliseconds. */
export const CONNECT_TIMEOUT = 10_000;
/** The heartbeat assumed where the head names none, seconds. */
export const HEARTBEAT = 15;
/** A stream without a byte for so many heartbeats is dead. */
export const SILENT_HEARTBEATS = 3;
/** Silence shorter than this never counts as death, however fast the heartbeat, milliseconds. */
export const READ_TIMEOUT_MIN = 15_000;
/** For ever, milliseconds: a third of it is still what a timer can take (24 days). */
export const SILENCE_MAX = 6e9;
/** Shown again, or back in a network, a stream that is silent gets this long to prove that it lives, milliseconds. */
export const RESUME_GRACE = 5_000;
/** A connection that held so long was healthy even without an event, milliseconds: the back-off starts anew. */
export const HEALTHY_AFTER = 30_000;

/** Attempts in a row without a stream that proves itself, after which long-polls are tried. */
export const FALLBACK_AFTER = 3;
/**
 * Where somebody on the way keeps streams back, the first try to get back to one comes after this, milliseconds; each
 * later one after twice as long. Where streams were refused, the first one comes as soon as a long-poll was answered.
 */
export const PROBE_MIN = 15_000;
/** They do not get rarer than this, milliseconds. */
export const PROBE_MAX = 300_000;
/** Where whoever answers knows no long-poll, another one is tried after this, milliseconds; each later one after twice as long. */
export const POLL_AGAIN_MIN = 15_000;
/** They do not get rarer than this, milliseconds. */
export const POLL_AGAIN_MAX = 300_000;
/** How long a long-poll asks the hub to wait, seconds: the hub's own default. */
export const POLL_WAIT = 25;
/** The pause after a long-poll that brought nothing, milliseconds: somebody on the way may answer at once. */
export const POLLING_INTERVAL = 500;
/** Largest answer of a long-poll, UTF-16 units: the hub stops at 1 MiB of data, escaped at worst sixfold. */
export const POLL_ANSWER_MAX = 8 * 1024 * 1024;

/** Largest event, bytes: the hub's default of 256 KiB with room for a raised one. */
export const MAX_EVENT_BYTES = 1024 * 1024;
/** Longest comment given to the application, bytes: the rest of a longer one is passed over. */
export const COMMENT_BYTES_MAX = 1024;
/** How long the words of a refusal are waited for once its status is known, milliseconds. */
export const REFUSAL_TIMEOUT = 1_000;
/** Longest error body read, UTF-16 units; a problem document is a few hundred. */
export const ERROR_BODY_MAX = 16 * 1024;
/** Longest `Last-Event-ID` sent, bytes. A longer one came from no hub of ours. */
export const LAST_EVENT_ID_MAX = 1024;
/** Ids of own events that an origin remembers: what a client that was away is still sent of them, with room. */
export const ORIGIN_IDS = 10_000;
/** An event's `own` is told after this, milliseconds: a publish that finds no hub must not hold back what others sent. */
export const ORIGIN_WAIT = 10_000;
/** Events whose `own` is not known yet, at most: of more the oldest is told. */
export const ORIGIN_WAITING = 1_000;
/** Events that an `events()` loop may lag behind before it gets a gap. */
export const HIGH_WATER_MARK = 1_000;
