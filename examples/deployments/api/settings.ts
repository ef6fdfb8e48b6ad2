// What the API and the worker are told by their environment. `scripts/platform.ts` sets all of it.
import { readFileSync } from "node:fs";

/** Of both programs. */
export interface Settings {
  readonly redisUrl: string;
  /** The hub as this process reaches it. */
  readonly hubUrl: string;
  /** The secret that tokens are signed with: the bytes of the hub's `token_secret_file`. */
  readonly secret: Uint8Array;
}

/** Of the API alone. */
export interface ApiSettings extends Settings {
  readonly port: number;
  /** The hub as a page reaches it. */
  readonly publicHubUrl: string;
  /** How long a token for the hub lasts, seconds. A page fetches the next one by itself. */
  readonly tokenLifetime: number;
  /** How long a sign-in lasts, seconds. */
  readonly signInLifetime: number;
  /** Users to be made at start, with their passwords: `ada:secret,grace:secret`. */
  readonly users: readonly (readonly [name: string, password: string])[];
}

/** Of the worker alone. */
export interface WorkerSettings extends Settings {
  /** Where logs are fed to: this platform's API. */
  readonly feedUrl: string;
  /** The `watertight` binary. */
  readonly watertight: string;
  /** Where `watertight run` keeps what has not been taken yet, and projects put what they build. */
  readonly data: string;
  readonly buildsAtOnce: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function readSettings(env: Environment): Settings {
  return {
    redisUrl: env["REDIS_URL"] ?? "redis://127.0.0.1:6379",
    hubUrl: needed(env, "HUB_URL"),
    secret: readSecret(needed(env, "SECRET_FILE")),
  };
}

export function readApiSettings(env: Environment): ApiSettings {
  const settings = readSettings(env);
  return {
    ...settings,
    port: Number(env["API_PORT"] ?? 3000),
    publicHubUrl: env["PUBLIC_HUB_URL"] ?? settings.hubUrl,
    tokenLifetime: seconds(env, "TOKEN_LIFETIME", 300),
    signInLifetime: seconds(env, "SIGN_IN_LIFETIME", 8 * 3_600),
    users: (env["USERS"] ?? "")
      .split(",")
      .filter(Boolean)
      .map((pair) => [pair.slice(0, pair.indexOf(":")), pair.slice(pair.indexOf(":") + 1)] as const),
  };
}

export function readWorkerSettings(env: Environment): WorkerSettings {
  return {
    ...readSettings(env),
    feedUrl: needed(env, "FEED_URL"),
    watertight: needed(env, "WATERTIGHT_BIN"),
    data: needed(env, "DATA_DIR"),
    buildsAtOnce: Number(env["BUILDS_AT_ONCE"] ?? 4),
  };
}

/** As the hub reads it: a line break at the end is none of it. */
function readSecret(file: string): Uint8Array {
  return new TextEncoder().encode(readFileSync(file, "utf8").replace(/\r?\n$/, ""));
}

function seconds(env: Environment, name: string, otherwise: number): number {
  const value = Number(env[name] ?? otherwise);
  if (!(value > 0)) throw new Error(`${name} has to be a number of seconds above zero`);
  return value;
}

function needed(env: Environment, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`${name} is not set; "npm start" sets it`);
  return value;
}
