import { startHub } from "./remote.ts";
import type { TokenHub } from "./token-hub.ts";

/** What the hub's tokens are signed with: nobody else knows this hub. */
const secret = "only for the hub that this test has started";

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** A token with these claims (RFC 7515, HS256). */
async function sign(claims: object): Promise<string> {
  const encoder = new TextEncoder();
  const part = (value: object): string => base64url(encoder.encode(JSON.stringify(value)));
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  return `${signed}.${base64url(new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(signed))))}`;
}

const claimsOf = (token: string): { jti: string; exp: number } =>
  JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"))) as { jti: string; exp: number };

/** A real hub that asks for tokens, in a test of Node.js or of a browser. */
export async function startTokenHub(): Promise<TokenHub> {
  const hub = await startHub("--token-secret", secret, "--token-leeway", "0", "--stats-public");
  const now = (): number => Date.now() / 1000;
  const operator = await sign({ sub: "operator", exp: now() + 3600, watertight: { publish: ["**"], admin: true } });
  const post = async (path: string, type: string, body: string): Promise<void> => {
    const headers = { authorization: `Bearer ${operator}`, "content-type": type };
    const response = await fetch(hub.url + path, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  };
  let minted = 0;
  return {
    baseUrl: hub.url,
    fetch: (input, init) => fetch(input, init),
    // Times in tokens are whole. Long enough to open a stream and read from it on a slow machine.
    mint: (seconds = 8) => {
      const claims = { sub: "ada", jti: `token-${++minted}`, watertight: { subscribe: ["sessions/s"] } };
      return sign({ ...claims, exp: Math.ceil(now()) + seconds });
    },
    // A real hub's tokens end when their time has come.
    expire: (token) => new Promise((resolve) => setTimeout(resolve, Math.max(0, (claimsOf(token).exp - now()) * 1000 + 50))),
    revoke: (token) => post("/tokens/revoke", "application/json", JSON.stringify({ jti: claimsOf(token).jti })),
    publish: (session, text) => post(`/sessions/${session}/events`, "text/plain", text),
  };
}
