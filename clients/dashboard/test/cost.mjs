// What the open page costs the hub: `node test/cost.mjs`, beside 10,000 subscribers.
// The hub's CPU time with the page open, less that without it, before and after; and what is left once it is closed.
import { execFileSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { buildHub, startHub } from "../../../examples/react-page/scripts/hub.mjs";
import { openCrowd, publishTo } from "./kit/crowd.mjs";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    beside: { type: "string", default: "2" },
    subscribers: { type: "string", default: "10000" },
  },
});
/** With the overview open. */
const MINUTES = Number(values.minutes);
/** Without the page, before and after. */
const BESIDE = Number(values.beside);
const SUBSCRIBERS = Number(values.subscribers);
const SESSIONS = Math.max(Math.floor(SUBSCRIBERS / 5), 1);
/** Of one core, for the overview. */
const SHARE_MAX = 0.01;
/** Of the hub's memory that is not of files, which allocators keep or not, bytes. */
const GROWTH_MAX = 2 * 1024 * 1024;
/** Longer than the hub's sampler goes on for nobody, milliseconds. */
const LINGER = 30_000;
/** Longer than the hub keeps its figures: ten minutes of them are there for the next who looks. */
const KEPT = 660_000;

/** @param {number} n */
const sessionOf = (n) => `orders/${n % SESSIONS}`;
const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** CPU time of a process so far, seconds. @param {number} pid */
async function cpuOf(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name in parentheses may hold anything; what follows it is plain.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

/** What the hub holds. @param {string} url @param {number} pid */
async function heldBy(url, pid) {
  const { ledger, budget } = await (await fetch(`${url}/stats`)).json();
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return {
    streams: ledger.subscription.live,
    sessions: ledger.session.live,
    files: (await readdir(`/proc/${pid}/fd`)).length,
    charged: budget.usedBytes,
    memory: Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024,
  };
}

/** The share of one core that the hub takes for so long. @param {number} pid @param {number} minutes */
async function shareOf(pid, minutes) {
  const [began, before] = [performance.now(), await cpuOf(pid)];
  await sleep(minutes * 60_000);
  return (await cpuOf(pid) - before) / ((performance.now() - began) / 1_000);
}

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(2)} %`;
/** @param {string} label @param {string} value */
const say = (label, value) => console.log(`${label.padEnd(58)} ${value}`);

const binary = process.env.WATERTIGHT_BIN ?? (await buildHub({ release: true }));
const hub = await startHub({ binary, log: console.error });
const pid = hub.pid() ?? 0;
let isBad = false;
/** @param {string} label @param {string} value @param {boolean} isGood */
const judge = (label, value, isGood) => {
  isBad ||= !isGood;
  say(label, `${value}${isGood ? "" : "   NOT REACHED"}`);
};

const crowd = await openCrowd(hub.url, SUBSCRIBERS, sessionOf);
for (let n = 0; n < SESSIONS; n++) await publishTo(hub.url, sessionOf(n), { n });
// The first visit makes what every later one finds there: it is no growth.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** @param {string} hash @param {string} ready */
async function visit(hash, ready) {
  const context = await browser.newContext({ viewport: { width: 1_280, height: 1_000 } });
  const page = await context.newPage();
  await page.goto(`${hub.url}/${hash}`);
  await page.getByTestId(ready).first().waitFor();
  return context;
}

/** Until what the visits took is given back; `seconds`: how long that took. @param {Awaited<ReturnType<typeof heldBy>>} wanted */
async function settled(wanted) {
  const began = performance.now();
  /** @param {typeof wanted} held */
  const isMore = (held) => held.streams > wanted.streams || held.files > wanted.files || held.charged > wanted.charged;
  let held = await heldBy(hub.url, pid);
  while (isMore(held) && performance.now() - began < KEPT) {
    await sleep(500);
    held = await heldBy(hub.url, pid);
  }
  return { ...held, seconds: Math.round((performance.now() - began) / 1_000) };
}

const PAGES = [
  ["#/sessions", "session"],
  ["#/sessions/orders%2F4", "summary"],
  ["#/connections", "connection"],
  ["#/sources", "snippets"],
  ["#/services", "service"],
];

try {
  for (const [hash = "", ready = ""] of [["#/overview", "figure-in"], ...PAGES]) await (await visit(hash, ready)).close();
  await sleep(LINGER);
  const before = await heldBy(hub.url, pid);
  const sharesWithout = [await shareOf(pid, BESIDE)];
  const overview = await visit("#/overview", "figure-in");
  const shareWith = await shareOf(pid, MINUTES);
  await overview.close();
  const other = [];
  for (const [hash = "", ready = ""] of PAGES) {
    const context = await visit(hash, ready);
    other.push({ hash, share: await shareOf(pid, BESIDE / 4) });
    await context.close();
  }
  sharesWithout.push(await shareOf(pid, BESIDE));
  const after = await settled(before);
  const without = sharesWithout.reduce((all, one) => all + one, 0) / sharesWithout.length;

  say(`subscribers, in ${SESSIONS} sessions; closed by the hub`, `${crowd.size}; ${crowd.lost()}`);
  say("hub without the page, of one core: before, after", sharesWithout.map(percent).join(", "));
  judge(`the overview for ${MINUTES} min, of one core, more than without`, percent(shareWith - without), shareWith - without < SHARE_MAX);
  for (const { hash, share } of other) say(`${hash} for ${BESIDE / 4} min, of one core, more than without`, percent(share - without));
  say("all was given back after, s", `${after.seconds + BESIDE * 60}`);
  judge("streams left behind", `${after.streams - before.streams}`, after.streams === before.streams);
  judge("sessions left behind", `${after.sessions - before.sessions}`, after.sessions <= before.sessions);
  judge("files left behind", `${after.files - before.files}`, after.files <= before.files);
  judge("charged bytes left behind", `${after.charged - before.charged}`, after.charged <= before.charged);
  judge("growth of memory, KiB", `${Math.round((after.memory - before.memory) / 1024)}`, after.memory - before.memory < GROWTH_MAX);
} finally {
  await browser.close();
  await crowd.close();
  await hub.stop();
}
process.exitCode = isBad ? 1 : 0;
