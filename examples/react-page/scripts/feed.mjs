// Publishes an agent network to a hub, so that nothing is lost or doubled while the hub restarts.
//
//   node scripts/feed.mjs --hub http://127.0.0.1:8080 --session agents --rate 10
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createNetwork } from "./network.mjs";

/** Longer than the hub ever holds a publish back (10 s), milliseconds. */
const ANSWER_TIMEOUT = 15_000;
/** What a publish in flight gets when the feed is to stop, milliseconds. */
const STOP_GRACE = 2_000;
/** The longest pause between two tries, milliseconds. */
const PAUSE_MAX = 2_000;

/** The hub will not take it, however often it is asked. */
class Refused extends Error {}

/**
 * @typedef {object} Feed
 * @property {() => number} published how many updates the hub has taken
 * @property {Promise<void>} done settles when the feed is over; rejects if the hub refuses what it is sent
 * @property {() => Promise<void>} stop
 */

/**
 * @param {{ hub: string, session: string, rate: number, log?: (line: string) => void }} options
 * @returns {Feed}
 */
export function startFeed({ hub, session, rate, log = console.log }) {
  const url = `${hub.replace(/\/+$/, "")}/sessions/${encodeURIComponent(session)}/events`;
  const run = randomUUID();
  const step = createNetwork();
  const stopping = new AbortController();
  /** The one request in flight: updates are published one after the other, so they keep their order. */
  let request = new AbortController();
  let published = 0;

  /** @param {string} key @param {string} body */
  const once = async (key, body) => {
    request = new AbortController();
    const timer = setTimeout(() => request.abort(new Error("no answer")), ANSWER_TIMEOUT);
    try {
      const headers = { "content-type": "application/json", "idempotency-key": key };
      const answer = await fetch(url, { method: "POST", headers, body, signal: request.signal });
      const { status } = answer;
      const text = await answer.text();
      if (status === 202) return;
      const again = status >= 500 || status === 408 || status === 429;
      throw new (again ? Error : Refused)(`the hub answered ${status}: ${text}`);
    } finally {
      clearTimeout(timer);
    }
  };

  /** Asks until the hub has said yes. Who got no answer cannot know; the key makes asking again harmless. */
  const publish = async (/** @type {number} */ n) => {
    const key = `${run}-${n}`;
    const body = JSON.stringify({ type: "agent_network_update", data: { run, n, ...step(Date.now()) } });
    for (let tries = 0; ; tries++) {
      try {
        await once(key, body);
        if (tries) log(`feed: the hub is back; update ${n} is published`);
        return;
      } catch (error) {
        if (error instanceof Refused || stopping.signal.aborted) throw error;
        if (!tries) log(`feed: no answer to update ${n}; asking again until there is one`);
        await sleep(Math.random() * Math.min(100 * 2 ** tries, PAUSE_MAX), undefined, { signal: stopping.signal });
      }
    }
  };

  const loop = async () => {
    for (let due = performance.now(); !stopping.signal.aborted; ) {
      await publish(published + 1);
      published++;
      // No crowding after a pause: what was not simulated meanwhile did not happen.
      due = Math.max(due + 1_000 / rate, performance.now());
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait, undefined, { signal: stopping.signal });
    }
  };

  const done = loop().catch((error) => {
    if (!stopping.signal.aborted) throw error;
  });

  return {
    published: () => published,
    done,
    async stop() {
      stopping.abort();
      const timer = setTimeout(() => request.abort(), STOP_GRACE);
      await done.catch(() => {});
      clearTimeout(timer);
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values } = parseArgs({
    options: {
      hub: { type: "string", default: process.env["HUB_URL"] ?? "http://127.0.0.1:8080" },
      session: { type: "string", default: process.env["SESSION"] ?? "agents" },
      rate: { type: "string", default: process.env["RATE"] ?? "10" },
    },
  });
  const feed = startFeed({ ...values, rate: Number(values.rate) });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void feed.stop());
  console.log(`feed: ${values.rate} updates per second to session ${values.session} of ${values.hub}; Ctrl-C ends it`);
  await feed.done;
  console.log(`feed: ${feed.published()} updates published`);
}
