// The landing page: figures every two seconds, one session live, the services' metrics live. Text nodes only. All addresses
// are relative: behind a proxy the page may be below a path.
const $ = (id) => document.getElementById(id);
const ROWS_MAX = 200;
const METRICS = "services/metrics/stream";
const SERVICES_MAX = 20;
const AGAIN_MS = 5000;
let source = null;

function row(text, kind) {
  const item = document.createElement("li");
  item.textContent = text;
  if (kind) item.className = kind;
  const list = $("events");
  list.append(item);
  while (list.children.length > ROWS_MAX) list.firstChild.remove();
  list.scrollTop = list.scrollHeight;
}

function path() {
  return `sessions/${encodeURIComponent($("session").value)}/events`;
}

function close() {
  source?.close();
  source = null;
  $("toggle").textContent = "Watch";
  $("state").textContent = "closed";
}

function open() {
  source = new EventSource(`${path()}?replay=50`);
  $("toggle").textContent = "Stop";
  $("state").textContent = "connecting";
  source.onopen = () => { $("state").textContent = "open"; };
  source.onmessage = (event) => row(event.data);
  source.addEventListener("gap", (event) => row(`gap ${event.data}`, "gap"));
  source.addEventListener("error", (event) => {
    if (event.data) row(`closed by the hub: ${event.data}`, "gap");
    $("state").textContent = source?.readyState === EventSource.CLOSED ? "closed" : "reconnecting";
  });
}

$("watch").addEventListener("submit", (event) => {
  event.preventDefault();
  if (source) close(); else open();
});

$("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch(path(), {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: $("text").value,
  });
  if (answer.ok) $("text").value = "";
  else row((await answer.json()).detail, "gap");
});

function figure(name, value) {
  const box = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  term.textContent = name;
  text.textContent = value;
  box.append(term, text);
  return box;
}

async function refresh() {
  try {
    const stats = await (await fetch("stats")).json();
    $("health").textContent = `${stats.budget.level}, up ${Math.round(stats.process.uptimeSeconds)} s`;
    $("figures").replaceChildren(
      figure("sessions", stats.totalSessions),
      figure("subscribers", stats.totalSubscribers),
      figure("connections", stats.ledger.connection.live),
      figure("events held", stats.totalEvents),
      figure("published", stats.metrics.eventsPublished),
      figure("delivered", stats.metrics.eventsDelivered),
      figure("gaps", stats.metrics.gaps),
      figure("memory MB", stats.memoryUsageMB.toFixed(1)),
    );
  } catch {
    $("health").textContent = "not reachable";
  }
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

// A figure that is null says why: it may need a second sample, or not be told at all.
function said({ figures, missing }, name, say) {
  const value = figures[name];
  if (typeof value === "number") return say(value);
  return missing?.[name] === "not_available" || missing?.[name] === "no_permission" ? "not known" : "not known yet";
}

const percent = (value) => `${value.toFixed(1)} %`;
const megabytes = (value) => `${(value / 2 ** 20).toFixed(0)} MB`;

function whose({ source, of }) {
  if (source === "process") return "figures of a process";
  return of === "cgroup" ? "figures of a cgroup (container)" : "figures of the whole machine";
}

function service(sample) {
  const box = document.createElement("div");
  const title = element("h3", sample.id);
  box.append(title);
  if (sample.error) {
    box.append(element("p", `no figures: ${sample.error.detail}`));
  } else if (sample.figures) {
    title.append(" ", element("small", whose(sample)));
    const list = document.createElement("dl");
    list.append(
      figure("CPU", said(sample, "cpuPercent", percent)),
      figure("memory", said(sample, "memoryBytes", megabytes)),
      figure("memory limit", said(sample, "memoryLimitBytes", megabytes)),
    );
    box.append(list);
  } else {
    box.append(element("p", "has metrics of its own, and neither CPU nor memory"));
  }
  return box;
}

function showMetrics(event) {
  const { services } = JSON.parse(event.data);
  const shown = services.slice(0, SERVICES_MAX).map(service);
  if (services.length > shown.length) shown.push(element("p", `and ${services.length - shown.length} more`));
  $("services").replaceChildren(...shown);
  $("metrics-state").textContent = "live";
  $("metrics").hidden = false;
}

// Open while somebody looks at the page: for a tab in the background the hub samples nothing.
let metrics = null;
let metricsAgain = 0;

function closeMetrics() {
  clearTimeout(metricsAgain);
  metrics?.close();
  metrics = null;
}

function openMetrics() {
  closeMetrics();
  if (document.visibilityState === "hidden") return;
  const opened = new EventSource(METRICS);
  metrics = opened;
  opened.addEventListener("metrics", showMetrics);
  opened.addEventListener("error", () => {
    $("metrics-state").textContent = "reconnecting; these are the last figures";
    if (opened.readyState === EventSource.CLOSED && opened === metrics) refusedMetrics(opened);
  });
}

// The browser has given up, and does not say why. Whoever may not see them sees nothing; of anything else it may recover.
async function refusedMetrics(opened) {
  let status = 0;
  try {
    status = (await fetch(METRICS, { method: "HEAD" })).status;
  } catch {
    // Not reachable: as any other refusal that may pass.
  }
  if (opened !== metrics) return;
  if ([401, 403, 404].includes(status)) {
    $("metrics").hidden = true;
    $("services").replaceChildren();
  } else {
    metricsAgain = setTimeout(openMetrics, AGAIN_MS * (0.5 + Math.random()));
  }
}

refresh();
setInterval(refresh, 2000);
openMetrics();
addEventListener("visibilitychange", openMetrics);
addEventListener("pageshow", (event) => { if (event.persisted) openMetrics(); });
addEventListener("pagehide", () => { close(); closeMetrics(); });
