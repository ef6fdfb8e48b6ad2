import { spawn } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import { mute, refused, stream } from "../kit/answers.ts";
import { buildPackage } from "../kit/remote.ts";
import { serve } from "../kit/servers.ts";

const entry = new URL("../../dist/index.js", import.meta.url).href;

/** Runs a script that has `SSEClient` and the server's `url`; resolves when it ends, or not at all. */
function run(url: string, script: string): { said: () => string; exit: Promise<number | null>; kill(): void } {
  const source = `import { SSEClient } from ${JSON.stringify(entry)}; const url = ${JSON.stringify(url)}; ${script}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (part: Buffer) => (text += String(part)));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { said: () => text, exit, kill: () => child.kill("SIGKILL") };
}

describe("row f: a process in Node", () => {
  beforeAll(buildPackage, 120_000);

  test("does not end while its client waits for the next attempt", async () => {
    const server = await serve(refused(503), refused(503), refused(503), stream("data:here\n\n"));
    const script = `
      const client = new SSEClient({ url, retryDelay: 300 });
      client.on("message", (data) => { console.log(data); client.destroy(); });
      client.connect();`;
    const { said, exit } = run(server.url, script);
    // It ends by itself, with the event, and only then.
    expect(await exit).toBe(0);
    expect(said()).toBe("here\n");
    expect(server.requests).toHaveLength(4);
  });

  test("with keepAlive: false ends instead of waiting", async () => {
    const server = await serve(refused(503, { "retry-after": "3600" }));
    const script = `
      const client = new SSEClient({ url, keepAlive: false, onError: ({ status }) => console.log(status) });
      client.connect();`;
    const { said, exit } = run(server.url, script);
    expect(await exit).toBe(0);
    expect(said()).toBe("503\n");
  });

  test.each(["destroy", "disconnect"])("ends at once after %s, whatever was going on", async (end) => {
    for (const answer of [stream("data:1\n\n"), mute, refused(503, { "retry-after": "3600" })]) {
      const server = await serve(answer);
      const script = `
        const client = new SSEClient({ url, onError: () => {} });
        client.connect();
        const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
        setTimeout(() => { client.${end}(); setImmediate(() => console.log(timers())); }, 300);`;
      const { said, exit } = run(server.url, script);
      expect(await exit).toBe(0);
      expect(said()).toBe("0\n");
    }
  });

  test("importing the package touches nothing of a page and keeps nothing running", async () => {
    const { said, exit } = run("", 'console.log(typeof SSEClient, process.getActiveResourcesInfo().includes("Timeout"));');
    expect(await exit).toBe(0);
    expect(said()).toBe("function false\n");
  });
});
