// The landing page: figures every two seconds, one session live. Text nodes only. All addresses are relative: behind a
// proxy the page may be below a path.
const $ = (id) => document.getElementById(id);
const ROWS_MAX = 200;
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

refresh();
setInterval(refresh, 2000);
addEventListener("pagehide", close);
