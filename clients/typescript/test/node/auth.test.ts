import { describe, expect, test } from "vitest";
import { broken, refused, stream } from "../kit/answers.ts";
import { serve, serveTokens } from "../kit/servers.ts";
import { connect } from "../kit/watch.ts";

describe("a token", () => {
  test("that is refused is asked for once more, as a new one, and then the stream is there", async () => {
    const server = await serveTokens(new Set(["new"]), stream("data:a\n\n"));
    const asked: boolean[] = [];
    const watched = connect({
      url: server.url,
      token: ({ refresh }) => {
        asked.push(refresh);
        return refresh ? "new" : "old";
      },
    });
    await watched.receive(1);
    expect(asked).toEqual([false, true]);
    expect(server.requests.map(({ headers }) => headers["authorization"])).toEqual(["Bearer old", "Bearer new"]);
  });

  test("that is refused again is fatal, and no third request is made", async () => {
    const server = await serveTokens(new Set(), stream());
    const watched = connect({ url: server.url, token: () => "wrong" });
    await watched.until("error");
    expect(watched.client.status.error).toMatchObject({ kind: "auth", status: 401, retryable: false });
    watched.clock.advance(600_000);
    await server.barrier();
    expect(server.requests).toHaveLength(2);
  });

  test("that cannot change is fatal at once", async () => {
    const server = await serveTokens(new Set(), stream());
    const watched = connect({ url: server.url, token: "wrong" });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "auth", status: 401 }]);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
  });

  test("in headers that are asked for is refreshed as well", async () => {
    const server = await serveTokens(new Set(["2"]), stream("data:a\n\n"));
    const watched = connect({ url: server.url, headers: ({ refresh }) => ({ authorization: `Bearer ${refresh ? 2 : 1}` }) });
    await watched.receive(1);
  });

  test("that runs out later is refreshed once more, each time", async () => {
    const tokens = new Set(["1"]);
    let current = 1;
    const server = await serveTokens(tokens, broken("data:a\n\n"));
    const watched = connect({ url: server.url, token: ({ refresh }) => String(refresh ? ++current : current) });
    for (let turn = 1; turn <= 3; turn++) {
      await watched.receive(turn);
      tokens.clear();
      tokens.add(String(current + 1));
      await watched.again();
    }
    await watched.receive(4);
    expect(current).toBe(4);
  });

  test("403 is fatal at once, whoever could be asked", async () => {
    const server = await serve(refused(403));
    const watched = connect({ url: server.url, token: () => "t" });
    await watched.until("error");
    expect(watched.errors).toMatchObject([{ kind: "auth", status: 403 }]);
    await server.barrier();
    expect(server.requests).toHaveLength(1);
  });

  test("the signal that its function is given ends with the attempt", async () => {
    const server = await serve(stream());
    const signals: AbortSignal[] = [];
    const watched = connect({
      url: server.url,
      token: ({ signal }) => {
        signals.push(signal);
        return new Promise<string>(() => {});
      },
    });
    await expect.poll(() => signals.length).toBe(1);
    watched.client.reconnect();
    await expect.poll(() => signals.length).toBe(2);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    watched.client.destroy();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });
});
