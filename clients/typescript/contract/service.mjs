// The service that the public SSE contract tests talk to: it runs clients as it is told and reports what they hear.
// Build the package first. PORT says where it listens; default 8000.
import { createServer } from "node:http";
import { SSEClient } from "../dist/index.js";

const ABOUT = {
  name: "watertight-typescript",
  capabilities: [
    "bom",
    "comments",
    "headers",
    "last-event-id",
    "payload-size-stress-testable",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
  ],
};

/** Longest body of a request, bytes. */
const BODY_MAX = 16 * 1024 * 1024;

/** Largest event, bytes: the contract has messages that are larger than a hub's. */
const EVENT_MAX = 16 * 1024 * 1024;

/** An answer other than success. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const isText = (value) => typeof value === "string";
const isUrl = (value) => isText(value) && URL.canParse(value);
const isDelay = (value) => Number.isFinite(value) && value >= 0;
const isHeaders = (value) => typeof value === "object" && !Array.isArray(value) && Object.values(value).every(isText);

const PARAMETERS = {
  streamUrl: isUrl,
  callbackUrl: isUrl,
  tag: isText,
  initialDelayMs: isDelay,
  readTimeoutMs: isDelay,
  lastEventId: isText,
  headers: isHeaders,
  method: isText,
  body: isText,
};

/** The parameters of a stream; null counts as absent. */
function check(given) {
  const parameters = {};
  for (const [name, isGood] of Object.entries(PARAMETERS)) {
    const value = given[name] ?? undefined;
    if (value !== undefined && !isGood(value)) throw new Refusal(400, `${name} is not what it should be`);
    parameters[name] = value;
  }
  for (const name of ["streamUrl", "callbackUrl"]) if (!parameters[name]) throw new Refusal(400, `${name} is missing`);
  return parameters;
}

/** One client, and its reports: numbered from 1, each sent once the one before was taken. */
function startStream(given) {
  const { streamUrl, callbackUrl, initialDelayMs, readTimeoutMs, lastEventId, headers, method, body } = check(given);
  const ended = new AbortController();
  let count = 0;
  let last = Promise.resolve();
  const report = (message) => {
    const url = `${callbackUrl.replace(/\/$/, "")}/${++count}`;
    const send = () => fetch(url, { method: "POST", body: JSON.stringify(message), signal: ended.signal });
    last = last.then(send).then((answer) => answer.arrayBuffer()).catch((error) => {
      if (!ended.signal.aborted) console.error(`callback ${url}: ${error}`);
    });
  };
  const client = new SSEClient({
    url: streamUrl,
    retryDelay: initialDelayMs,
    readTimeout: readTimeoutMs,
    lastEventId,
    headers,
    method,
    body,
    // The contract asks for reconnects, whatever the method.
    onEnd: "reconnect",
    maxEventBytes: EVENT_MAX,
    onComment: (comment) => report({ kind: "comment", comment }),
    onError: (error) => report({ kind: "error", error: error.message, comment: error.message }),
  });
  client.on("*", (_, { type, text, id }) => report({ kind: "event", event: { type, data: text, id } }));
  client.connect();
  return {
    command({ command }) {
      if (command !== "restart") throw new Refusal(400, `there is no command ${command}`);
      client.reconnect();
    },
    end() {
      client.destroy();
      ended.abort();
    },
  };
}

const streams = new Map();
let lastStream = 0;

async function readJson(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_MAX) throw new Refusal(413, "the body is too long");
    parts.push(part);
  }
  try {
    const value = JSON.parse(Buffer.concat(parts).toString("utf8"));
    if (typeof value === "object" && value && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new Refusal(400, "the body is no JSON object");
}

async function answer(request) {
  const { method, url } = request;
  if (url === "/") {
    if (method === "GET") return [200, {}, JSON.stringify(ABOUT)];
    if (method === "DELETE") return [204];
    if (method !== "POST") throw new Refusal(405, "not here");
    const stream = startStream(await readJson(request));
    streams.set(`/streams/${++lastStream}`, stream);
    return [201, { location: `http://${request.headers.host}/streams/${lastStream}` }];
  }
  const stream = streams.get(url);
  if (!stream) throw new Refusal(404, "there is no such stream");
  if (method === "POST") {
    stream.command(await readJson(request));
    return [202];
  }
  if (method !== "DELETE") throw new Refusal(405, "not here");
  streams.delete(url);
  stream.end();
  return [204];
}

const server = createServer(async (request, response) => {
  let result;
  try {
    result = await answer(request);
  } catch (error) {
    result = [error instanceof Refusal ? error.status : 500, {}, JSON.stringify({ error: String(error.message) })];
  }
  const [status, headers, body] = result;
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(body, () => {
    if (request.method !== "DELETE" || request.url !== "/") return;
    for (const stream of streams.values()) stream.end();
    server.close();
    server.closeIdleConnections();
  });
});

server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => {
  console.log(`contract service: listening on http://127.0.0.1:${server.address().port}`);
});
