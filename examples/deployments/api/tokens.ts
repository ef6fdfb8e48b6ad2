import { jwtVerify, SignJWT, type JWTPayload } from "jose";
import { Problem } from "./problem.ts";
import type { SignIn } from "./sign-ins.ts";

/** What the hub takes tokens for (`token_audience`). */
export const HUB = "hub";
/** Tokens of `watertight run` are for the feed of this API: at the hub they are worth nothing. */
const FEED = "feed";
/** Of a token that is used at once, seconds. */
const SHORT = 60;

/** The session of the hub in which a user is told what becomes of the deployments. */
export const listSession = (user: string): string => `deployments-of-${user}`;

interface Grants {
  readonly subscribe?: readonly string[];
  readonly publish?: readonly string[];
  readonly admin?: boolean;
}

/** Makes tokens (docs/access.md), and reads those of feeders. */
export class Tokens {
  readonly #secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /**
   * For a page, or for a relay in its place: the logs of the user's deployments, the figures of the user's services, the list. Whose
   * a deployment or a service is, the hub asks the directory.
   *
   * @param expiresAt seconds since the Unix epoch
   */
  viewer({ user, id }: SignIn, expiresAt: number): Promise<string> {
    const subscribe = ["deployments/*/logs", "services/metrics", `sessions/${listSession(user)}`];
    return this.#sign(HUB, { sub: user, jti: id }, { subscribe }, expiresAt);
  }

  /** For whoever tells users what becomes of their deployments. */
  announcer(): Promise<string> {
    return this.#sign(HUB, {}, { publish: [`sessions/${listSession("*")}`] }, soon());
  }

  operator(): Promise<string> {
    return this.#sign(HUB, { sub: "deployments-api" }, { admin: true }, soon());
  }

  /** For the `watertight run` of one deployment, for `lifetime` seconds. */
  feeder(deployment: string, lifetime: number): Promise<string> {
    return this.#sign(FEED, {}, { publish: [`deployments/${deployment}/logs`] }, now() + lifetime);
  }

  /** @throws Problem unless this is a token with which the log of this deployment may be fed */
  async checkFeeder(header: string | undefined, deployment: string): Promise<void> {
    const token = /^Bearer ([\w.~+/=-]+)$/i.exec(header ?? "")?.[1];
    if (!token) throw new Problem(401, "UNAUTHORIZED", "a token is needed here");
    let claims: JWTPayload;
    try {
      ({ payload: claims } = await jwtVerify(token, this.#secret, { algorithms: ["HS256"], audience: FEED, requiredClaims: ["exp"] }));
    } catch {
      throw new Problem(401, "INVALID_TOKEN", "the token is not valid");
    }
    const { publish = [] } = (claims["watertight"] ?? {}) as Grants;
    if (!publish.includes(`deployments/${deployment}/logs`)) throw new Problem(403, "FORBIDDEN", "the token is for another log");
  }

  #sign(audience: string, claims: JWTPayload, watertight: Grants, expiresAt: number): Promise<string> {
    return new SignJWT({ ...claims, watertight })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expiresAt)
      .sign(this.#secret);
  }
}

export const now = (): number => Math.floor(Date.now() / 1_000);
const soon = (): number => now() + SHORT;
