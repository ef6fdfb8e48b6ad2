// Watches a stream with a client of somebody else: node watch.mjs CLIENT URL
//
// Prints "open" for each connection, and "ID<tab>TYPE<tab>DATA" for each event. Reconnects are the client's own.
import process from "node:process";

const [, , client, url] = process.argv;
const TYPES = ["message", "tick", "gap", "error"];

const opened = () => console.log("open");
const show = ({ id, type, data }) => console.log([id, type, data].join("\t"));

/** Clients with the interface of the browser's `EventSource`. */
function watch(EventSource, options) {
  const source = new EventSource(url, options);
  source.addEventListener("open", opened);
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      // An error of the connection has no data; the client goes on by itself.
      if (event.data !== undefined) show({ id: event.lastEventId, type, data: event.data });
    });
  }
}

/** It is made for browsers: it asks whether the page is visible. */
function pretendToBeAPage() {
  globalThis.document ??= { hidden: false, addEventListener() {}, removeEventListener() {} };
  globalThis.window ??= globalThis;
}

const clients = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    watch(EventSource);
  },
  async "launchdarkly-eventsource"() {
    const { EventSource } = await import("launchdarkly-eventsource");
    watch(EventSource, { initialRetryDelayMillis: 50, jitterRatio: 0.5 });
  },
  async "fetch-event-source"() {
    pretendToBeAPage();
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(url, {
      openWhenHidden: true,
      onopen: async () => opened(),
      onmessage: ({ id, event, data }) => {
        if (data !== "") show({ id, type: event || "message", data });
      },
      onclose: () => {
        throw new Error("the stream ended");
      },
      onerror: () => 50,
    });
  },
};

const start = clients[client];
if (!start) {
  console.error(`no client ${client}: one of ${Object.keys(clients).join(", ")}`);
  process.exit(64);
}
// The timer by which a client waits for its next attempt need not keep the process.
setInterval(() => {}, 60_000);
await start();
