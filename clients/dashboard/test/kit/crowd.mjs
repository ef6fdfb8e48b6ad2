// Very many subscribers over bare sockets, as cheap as they can be: what is measured or drawn is the hub, not they.
import { once } from "node:events";
import { connect } from "node:net";

/** Sockets that are opened at once: no more than a hub's queue of new connections takes. */
const AT_ONCE = 200;

/**
 * @typedef {object} Crowd
 * @property {number} size
 * @property {() => number} lost how many were closed by the hub
 * @property {() => Promise<void>} close
 */

/**
 * Opens `size` streams, in turns of each of `sessions`, and reads whatever comes.
 *
 * @param {string} hub its address
 * @param {number} size
 * @param {(n: number) => string} sessionOf
 * @returns {Promise<Crowd>}
 */
export async function openCrowd(hub, size, sessionOf) {
  /** @type {import("node:net").Socket[]} */
  const sockets = [];
  let isClosing = false;
  let lost = 0;
  for (let n = 0; n < size; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, size - n) }, (_, index) => openReader(hub, eventsOf(sessionOf(n + index))));
    for (const socket of await Promise.all(some)) {
      socket.on("error", () => {}).once("close", () => (lost += isClosing ? 0 : 1));
      socket.resume();
      sockets.push(socket);
    }
  }
  return {
    size,
    lost: () => lost,
    async close() {
      isClosing = true;
      await Promise.all(sockets.map((socket) => (socket.destroyed ? undefined : once(socket.destroy(), "close"))));
    },
  };
}

/**
 * One stream, whose head has come. Nothing after that is read until somebody does: left alone, it is a reader who lags.
 *
 * @param {string} hub
 * @param {string} path with its slash
 * @returns {Promise<import("node:net").Socket>}
 */
export async function openReader(hub, path) {
  const { hostname, port, host } = new URL(hub);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\naccept: text/event-stream\r\n\r\n`);
  const [head] = await once(socket, "data");
  socket.pause();
  if (!`${head}`.startsWith("HTTP/1.1 200 ")) throw new Error(`the hub answered ${`${head}`.split("\r\n")[0]}`);
  return socket;
}

/** @param {string} session */
export const eventsOf = (session) => `/sessions/${encodeURIComponent(session)}/events`;

/**
 * Publishes one event and waits for the answer.
 *
 * @param {string} hub
 * @param {string} session
 * @param {unknown} data
 * @param {string} [type]
 */
export async function publishTo(hub, session, data, type = "order") {
  const answer = await fetch(hub + eventsOf(session), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type, data }),
  });
  if (!answer.ok) throw new Error(`the hub answered ${answer.status}: ${await answer.text()}`);
  await answer.arrayBuffer();
}
