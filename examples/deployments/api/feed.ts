// Where `watertight run` sends the log of a build to: from here into a stream in Redis, from where the hub reads it.
//
// It speaks as the hub's own `POST /deployments/ID/logs` does. So lines wait in the spool of `watertight run` while Redis is away, and
// come once: each has a number, and a bitmap knows which are there. An epoch stands for one life of the log *and* one life of Redis: when
// Redis was started again, nobody knows whether it still has the last lines that it took, so all are asked for again (409
// EPOCH_CHANGED), and those that it lacks are added, in their order.
import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { Problem } from "./problem.ts";
import { feedKeys } from "./store.ts";

/** Lines of a log that are kept in Redis, at least; the oldest go, and who watches is told. */
const LINES_KEPT = 100_000;
/** The greatest number that a line may have: the bitmap takes a bit for each. */
const LINE_MAX = 10_000_000;
/** How long a log is kept after its end, seconds. */
export const KEPT_FOR = 7 * 86_400;

/** One request. */
export interface Feed {
  /** The life of the log that it is meant for; without one it begins the log, or goes on with it. */
  readonly epoch: string;
  /** A log that has ended begins anew. */
  readonly reopen: boolean;
  /** NDJSON. */
  readonly lines: string;
  readonly end: { readonly exitCode: number | null } | undefined;
  /** The same again is the same request. */
  readonly key: string;
}

/** In one step: what is refused changes nothing, and what is taken is there with the note that it is. */
const SCRIPT = `
local log, feed, lines = KEYS[1], KEYS[2], KEYS[3]
local asked, reopen, ending, key, fresh, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local kept, kept_for = ARGV[7], ARGV[8]
local server = string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 1, 8)
local state = redis.call('HMGET', feed, 'epoch', 'server', 'ended', 'key')
local epoch, ended = state[1], state[3] == '1'
local function current() return epoch and (epoch .. 'r' .. server) or '' end

if epoch and key ~= '' and state[4] == key then return {'taken', current()} end
if asked ~= '' and asked ~= current() then return {'changed', current()} end
if epoch and ended then
  if reopen ~= '1' then return {'ended', current()} end
  redis.call('DEL', log, feed, lines)
  epoch = false
end
if not epoch then epoch = fresh end
redis.call('HSET', feed, 'epoch', epoch, 'key', key)

local added = 0
for at = 9, #ARGV, 2 do
  local number = tonumber(ARGV[at])
  local is_new = true
  if number > 0 then is_new = redis.call('SETBIT', lines, number, 1) == 0 end
  -- A line that has not ended is of no use once the whole of it is there.
  if number < 0 then is_new = redis.call('GETBIT', lines, -number) == 0 end
  if is_new then
    redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'line', ARGV[at + 1])
    added = added + 1
  end
end
if ending ~= '' then
  redis.call('XADD', log, '*', 'event', 'end', 'exit_code', ending, 'ended_at', now)
  redis.call('HSET', feed, 'ended', '1')
  for _, name in ipairs(KEYS) do redis.call('EXPIRE', name, kept_for) end
end
return {'taken', current(), added}
`;

/**
 * Takes lines, or the end of a log.
 *
 * @returns an id for each line
 * @throws Problem 400 for what is no line, 409 `EPOCH_CHANGED` and `SESSION_ENDED`; whatever Redis throws: then `watertight run` asks
 *   again
 */
export async function take(redis: Redis, deployment: string, { epoch, reopen, lines, end, key }: Feed): Promise<string[]> {
  const records = lines.split("\n").filter((line) => line.trim()).map(numbered);
  const answer = (await redis.eval(
    SCRIPT,
    3,
    ...feedKeys(deployment),
    epoch,
    reopen ? "1" : "",
    end ? `${end.exitCode ?? "none"}` : "",
    key,
    `e${Date.now().toString(36)}${randomBytes(4).toString("hex")}`,
    `${Date.now() / 1_000}`,
    LINES_KEPT,
    KEPT_FOR,
    ...records.flat(),
  )) as [verdict: string, epoch: string];
  const [verdict, current] = answer;
  if (verdict === "changed") {
    throw new Problem(409, "EPOCH_CHANGED", "Redis was started again, or the log is another one: send all lines again", { epoch: current || null });
  }
  if (verdict === "ended") throw new Problem(409, "SESSION_ENDED", "the log has ended");
  return records.map(([number], index) => `${current}-${Math.abs(number) || index + 1}`);
}

/** How a log ended, if it has. */
export async function readEnd(redis: Redis, deployment: string): Promise<{ readonly exitCode: number | null } | undefined> {
  const [log, feed] = feedKeys(deployment);
  if ((await redis.hget(feed, "ended")) !== "1") return undefined;
  const [[, fields] = ["", []]] = await redis.xrevrange(log, "+", "-", "COUNT", 1);
  const code = Number(fields[fields.indexOf("exit_code") + 1]);
  return { exitCode: Number.isInteger(code) ? code : null };
}

/** Ends a log of which nothing more will come, if it has not ended: whoever watches it is not to wait for ever. */
export async function endWithoutCode(redis: Redis, deployment: string): Promise<void> {
  if (await readEnd(redis, deployment)) return;
  await take(redis, deployment, { epoch: "", reopen: false, lines: "", end: { exitCode: null }, key: "" });
}

/** A record with the number of its line: negative if the line has not ended, 0 if it is none of the output. */
function numbered(text: string): [number: number, text: string] {
  let record: { line?: unknown; partial?: unknown } | null;
  try {
    record = JSON.parse(text) as typeof record;
  } catch {
    throw new Problem(400, "MALFORMED_JSON", "a line is not JSON");
  }
  if (typeof record !== "object" || record === null) throw new Problem(400, "MALFORMED_BODY", "a line is not an object");
  const { line = 0, partial } = record;
  if (!Number.isSafeInteger(line) || Number(line) < 0 || Number(line) > LINE_MAX) {
    throw new Problem(400, "MALFORMED_BODY", `a line has a number from 1 to ${LINE_MAX}`);
  }
  return [partial === true ? -Number(line) : Number(line), text];
}
