import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { logKey } from "../api/store.ts";
import { WAYS, type Member, type Watch, type Way } from "./kit/member.ts";
import { setStage, type Stage } from "./kit/stage.ts";

// The first seed's list of tests for its two streams, each in both ways: straight from the hub with a token of the API's, and relayed
// by the API's own route. Whatever ends a stream, at the end of each test nothing of it is left.

const METRICS = "/services/metrics/stream";
const logs = (id: string): string => `/deployments/${id}/logs/stream`;

let stage: Stage;
let ada: Member;
let grace: Member;
/** A deployment of Ada's whose log has one line and goes on. */
let id: string;
let deployments = 0;

const line = (text: string): Promise<string | null> => stage.redis.xadd(logKey(id), "*", "line", JSON.stringify({ text }));

/** A log without a build: a test says what is in it. */
async function begin(): Promise<void> {
  id = `log-${++deployments}`;
  await stage.redis.hset("watertight:owners", `deployments/${id}`, "ada");
  await line("first");
}

async function opened(it: Watch, type: "log" | "metrics"): Promise<Watch> {
  await expect.poll(() => [it.state, it.of(type).length > 0]).toEqual(["open", true]);
  return it;
}
const watchMetrics = (way: Way, who = ada): Promise<Watch> => opened(who.watch(way, METRICS), "metrics");
const watchLog = (way: Way, who = ada): Promise<Watch> => opened(who.watch(way, logs(id)), "log");

/** What a page does when it is closed in the middle: a socket by itself, without a client that comes back. */
async function socketTo(way: Way, path: string): Promise<Socket> {
  const base = new URL(way === "straight" ? stage.platform.hubUrl : stage.platform.apiUrl);
  const socket = connect(Number(base.port), base.hostname);
  const credentials = way === "straight" ? `authorization: Bearer ${await ada.token()}` : `cookie: ${ada.cookie}`;
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${base.host}\r\naccept: text/event-stream\r\n${credentials}\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  expect(head.toString()).toMatch(/^HTTP\/1.1 200 /);
  return socket;
}

function onStage(options: Parameters<typeof setStage>[0]): void {
  beforeAll(async () => {
    stage = await setStage(options);
    [ada, grace] = [await stage.member("ada"), await stage.member("grace")];
  });
  beforeEach(begin);
  afterEach(() => stage.expectNothingLeft());
  afterAll(() => stage?.stop());
}

describe("with rights that are asked about once a second", () => {
  // Its log has a line for each stream that has ended.
  onStage({ hub: { WATERTIGHT_LOG_LEVEL: "info", WATERTIGHT_LOG_FORMAT: "json" } });

  describe.each(WAYS)("%s", (way) => {
    test("metrics 1: a service that is gone shows as such, and the others go on", async () => {
      using it = await watchMetrics(way);
      const errors = (): Record<string, string | null> => {
        const { services } = it.of("metrics").at(-1)?.data as { services: { id: string; error: { code: string } | null }[] };
        return Object.fromEntries(services.map(({ id, error }) => [id, error?.code ?? null]));
      };
      await expect.poll(errors).toEqual({ api: null, worker: null });
      await stage.platform.programs.worker.kill();
      await expect.poll(errors).toEqual({ api: null, worker: expect.any(String) });
      await stage.platform.programs.worker.start();
      // It is declared anew with its new number; a page that comes then sees it.
      await expect
        .poll(async () => {
          using late = await watchMetrics(way);
          const { services } = late.of("metrics").at(-1)?.data as { services: { id: string; error: unknown }[] };
          return services.find(({ id }) => id === "worker")?.error;
        })
        .toBe(null);
      expect(it.codes).toEqual([]);
    });

    test("metrics 2: three questions in a row without an answer end the stream, and it goes on when there are answers", async () => {
      using it = await watchMetrics(way);
      await stage.platform.programs.redis?.kill();
      // Refused until somebody can say whose the services are; of a relay, until the API can say who is signed in.
      await expect.poll(() => it.codes).toEqual(["CIRCUIT_OPEN", way === "straight" ? expect.stringMatching(/STORE|DIRECTORY/) : "STORE_UNAVAILABLE"]);
      const before = it.of("metrics").length;
      await stage.platform.programs.redis?.start();
      await expect.poll(() => it.of("metrics").length).toBeGreaterThan(before);
    });

    test("metrics 3: who leaves gives the sampler back", async () => {
      const first = await watchMetrics(way);
      const second = await watchMetrics(way);
      expect((await stage.stats()).ledger["source"]?.live).toBe(1);
      first.client.destroy();
      await expect.poll(async () => (await stage.stats()).ledger["subscription"]?.live).toBe(1);
      expect((await stage.stats()).ledger["source"]?.live).toBe(1);
      second.client.destroy();
      await expect.poll(async () => (await stage.stats()).ledger["source"]?.live).toBe(0);
    });

    test("logs 1: who leaves gives the reading from Redis back", async () => {
      using first = await watchLog(way);
      using second = await watchLog(way);
      // Both are fed by one reading.
      expect((await stage.stats()).ledger["source"]?.live).toBe(1);
      first.client.destroy();
      await expect.poll(async () => (await stage.stats()).ledger["subscription"]?.live).toBe(1);
      // It is read on for the other one, as can be seen once a log that nobody reads was unread for long, by the same clock.
      await stage.redis.xadd(logKey("unread"), "*", "line", "{}");
      await expect.poll(() => stage.unreadFor("unread")).toBeGreaterThanOrEqual(4);
      await expect.poll(() => stage.unreadFor(id)).toBeLessThan(3);
      expect(second.state).toBe("open");
      second.client.destroy();
      await expect.poll(() => stage.unreadFor(id)).toBeGreaterThanOrEqual(4);
    });

    test("logs 3: nobody asks about a right that no stream uses", async () => {
      const questions = (): Promise<number> => stage.metric("watertight_access_questions_total");
      const it = await watchLog(way);
      const before = await questions();
      await expect.poll(questions).toBeGreaterThan(before + 1);
      it.client.destroy();
      await stage.expectNothingLeft();
      const after = await questions();
      // Two intervals of somebody else's stream, which is asked about.
      using other = await watchMetrics(way, grace);
      const rounds = other.of("metrics").length + 2;
      await expect.poll(() => other.of("metrics").length).toBeGreaterThan(rounds);
      const [asked] = (await stage.connections()).filter(({ user }) => user === "grace");
      // Of two services, and of her: what was asked since is hers.
      expect((await questions()) - after).toBeLessThanOrEqual(2 * ((asked?.validations ?? 0) + 1));
    });

    test("logs 4: a write error leaks nothing", async () => {
      for (let round = 0; round < 20; round++) {
        const socket = await socketTo(way, logs(id));
        await expect.poll(async () => (await stage.stats()).ledger["subscription"]?.live).toBe(1);
        // It is gone without a word, and the next lines meet a connection that was reset.
        socket.resetAndDestroy();
        await Promise.all([line(`${round} a`), line(`${round} b`)]);
        await expect.poll(async () => (await stage.stats()).ledger["subscription"]?.live).toBe(0);
      }
    });

    test("logs 5: a deployment has to be the user's, when its log is opened and while it is", async () => {
      using stranger = grace.watch(way, logs(id));
      await expect.poll(() => [stranger.state, stranger.codes]).toEqual(["error", ["FORBIDDEN"]]);
      using nobodys = ada.watch(way, logs("log-of-nobody"));
      await expect.poll(() => [nobodys.state, nobodys.codes]).toEqual(["error", ["RESOURCE_NOT_FOUND"]]);
      using it = await watchLog(way);
      using metrics = await watchMetrics(way);
      await stage.redis.hset("watertight:owners", `deployments/${id}`, "grace");
      await expect.poll(() => [it.state, it.codes]).toEqual(["error", ["FORBIDDEN"]]);
      // The other stream of the same token stands under another right.
      expect([metrics.state, metrics.codes]).toEqual(["open", []]);
      using hers = await watchLog(way, grace);
      expect(hers.lines()).toEqual([[0, "first"]]);
    });

    test("logs 5: a service that is taken away ends the stream of metrics", async () => {
      using it = await watchMetrics(way);
      await stage.redis.hset("watertight:owners", "services/worker", "grace");
      await expect.poll(() => it.codes).toContain("FORBIDDEN");
      await stage.redis.hset("watertight:owners", "services/worker", "ada");
    });

    test("general 1 and 2: the state of a connection can be seen while it is open, and stands in the log afterwards", async () => {
      const it = await watchLog(way);
      await line("second");
      await expect.poll(() => it.lines().length).toBe(2);
      await expect
        .poll(async () => (await stage.connections()).map(({ user, session, sent, errors, validations }) => [user, session, sent, errors, validations > 0]))
        .toEqual([["ada", `deployments/${id}/logs`, 2, 0, true]]);
      it.client.destroy();
      const closed = (): Record<string, unknown>[] =>
        stage.lines
          .filter((text) => text.includes("connection closed") && text.includes(`deployments/${id}/logs`))
          .map((text) => JSON.parse(text.replace(/^hub: /, "")) as Record<string, unknown>);
      await expect.poll(() => closed().length).toBe(1);
      expect(JSON.stringify(closed()[0])).toMatch(/"reason":"PEER_(CLOSED|RESET)"/);
      for (const field of ["user", "duration_ms", "sent", "errors"]) expect(JSON.stringify(closed()[0])).toContain(`"${field}"`);
    });

    test("a long-poll brings the same lines, and says where to go on", async () => {
      const base = way === "straight" ? ada.hub : stage.platform.apiUrl;
      const headers = { accept: "application/json", ...(way === "straight" ? { authorization: `Bearer ${await ada.token()}` } : { cookie: ada.cookie }) };
      const poll = async (query: string): Promise<{ texts: string[]; next: string }> => {
        const answer = await fetch(`${base}${logs(id)}?${query}`, { headers });
        expect(answer.status).toBe(200);
        const { events, next } = (await answer.json()) as { events: { data: string }[]; next: string };
        return { texts: events.map(({ data }) => (JSON.parse(data) as { text: string }).text), next };
      };
      const first = await poll("replay=all&wait=10");
      expect(first.texts).toEqual(["first"]);
      const [second] = await Promise.all([poll(`after=${first.next}&wait=10`), line("second")]);
      expect(second.texts).toEqual(["second"]);
    });

    test("signing out ends both streams with TOKEN_REVOKED, and no other sign-in's", async () => {
      const other = await stage.member("ada");
      using metrics = await watchMetrics(way, other);
      using log = await watchLog(way, other);
      using mine = await watchLog(way);
      expect((await other.signOut()).status).toBe(204);
      await expect.poll(() => [metrics.state, metrics.codes, log.state, log.codes]).toEqual(["error", ["TOKEN_REVOKED"], "error", ["TOKEN_REVOKED"]]);
      expect((await other.ask("GET", "/session")).status).toBe(401);
      await line("still there");
      await expect.poll(() => mine.lines().at(-1)?.[1]).toBe("still there");
      expect(mine.codes).toEqual([]);
    });

    test("signing out while the hub is away counts when it is back: a token that was kept is refused", async () => {
      const other = await stage.member("ada");
      const token = await other.token();
      await stage.platform.programs.hub.kill();
      expect((await other.signOut()).status).toBe(204);
      await stage.platform.programs.hub.start();
      const opens = async (): Promise<number> => {
        const answer = await fetch(stage.platform.hubUrl + METRICS, { headers: { authorization: `Bearer ${token}` } });
        await answer.body?.cancel();
        return answer.status;
      };
      await expect.poll(opens).toBe(401);
      await expect.poll(() => stage.redis.hlen("revocations")).toBe(0);
    });
  });
});

describe("with rights that are asked about once in ten minutes", () => {
  onStage({ hub: { WATERTIGHT_REVALIDATE_INTERVAL: "10m" } });

  describe.each(WAYS)("%s", (way) => {
    test("logs 2: while Redis is away viewers stay and are told; no line is lost or doubled", async () => {
      using it = await watchLog(way);
      await line("before");
      await expect.poll(() => it.lines().length).toBe(2);
      await stage.platform.programs.redis?.kill();
      await expect.poll(() => it.comments.join()).toContain("waiting for source");
      await stage.platform.programs.redis?.start();
      await line("after");
      await expect.poll(() => it.lines().map(([, text]) => text)).toEqual(["first", "before", "after"]);
      // They were there all the time.
      expect([it.state, it.codes, it.of("gap")]).toEqual(["open", [], []]);
      expect((await stage.connections()).map(({ errors, sent }) => [errors, sent])).toEqual([[0, 3]]);
    });
  });
});

describe("with streams that live for two seconds", () => {
  onStage({ hub: { WATERTIGHT_METRICS_MAX_AGE: "2s", WATERTIGHT_LOGS_MAX_AGE: "2s" } });

  describe.each(WAYS)("%s", (way) => {
    test("metrics 5, general 3: the stream ends at its age with TIMEOUT, in the seed's words, and the next one follows", async () => {
      using it = await watchMetrics(way);
      await expect.poll(() => it.codes).toEqual(["TIMEOUT"]);
      expect(it.words).toEqual(["Connection timeout"]);
      const before = it.of("metrics").length;
      await expect.poll(() => it.of("metrics").length).toBeGreaterThan(before + 1);
    });

    test("logs 6, general 3: the stream ends at its age with TIMEOUT, and not a line is lost or doubled", async () => {
      using it = await watchLog(way);
      let written = 0;
      while (it.codes.length < 2) {
        await line(`${++written}`);
        await expect.poll(() => it.lines().at(-1)?.[1]).toBe(`${written}`);
      }
      // Two of them, or more where a line took long.
      expect(it.codes).toEqual(it.codes.map(() => "TIMEOUT"));
      expect(it.words).toEqual(it.codes.map(() => "Connection timeout"));
      await line("last");
      await expect.poll(() => it.lines().at(-1)?.[1]).toBe("last");
      expect(it.lines().map(([, text]) => text)).toEqual(["first", ...Array.from({ length: written }, (_, index) => `${index + 1}`), "last"]);
    });
  });
});

describe("with tokens that last for three seconds, and sign-ins for sixteen", () => {
  onStage({ app: { TOKEN_LIFETIME: "3", SIGN_IN_LIFETIME: "16" }, hub: { WATERTIGHT_TOKEN_LEEWAY: "0" } });

  test("metrics 4, straight: a token that expires ends the stream with TOKEN_EXPIRED; a fresh one goes on, until the sign-in is over", async () => {
    const it = await watchBoth("straight");
    await expect.poll(() => it.metrics.codes.filter((code) => code === "TOKEN_EXPIRED").length).toBeGreaterThan(1);
    await line("under the second token, or the third");
    await expect.poll(() => it.log.lines().map(([, text]) => text)).toEqual(["first", "under the second token, or the third"]);
    await expectOver(it);
    expect(it.log.of("gap")).toEqual([]);
  });

  test("metrics 4, relayed: the stream ends with the sign-in, with TOKEN_EXPIRED, and is refused from then on", async () => {
    const it = await watchBoth("relayed");
    await expectOver(it);
    expect([it.metrics.codes, it.log.codes]).toEqual([["TOKEN_EXPIRED", "UNAUTHORIZED"], ["TOKEN_EXPIRED", "UNAUTHORIZED"]]);
  });

  async function watchBoth(way: Way): Promise<{ metrics: Watch; log: Watch }> {
    const member = await stage.member("ada");
    return { metrics: await watchMetrics(way, member), log: await watchLog(way, member) };
  }

  async function expectOver({ metrics, log }: { metrics: Watch; log: Watch }): Promise<void> {
    await expect.poll(() => [metrics.codes.includes("TOKEN_EXPIRED"), log.codes.includes("TOKEN_EXPIRED")]).toEqual([true, true]);
    // Without another token there is nothing to come back with.
    await expect.poll(() => [metrics.isOver, log.isOver]).toEqual([true, true]);
    metrics.client.destroy();
    log.client.destroy();
  }
});
