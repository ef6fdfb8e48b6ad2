import { ledger } from "../ledger.ts";
import type { StreamReport } from "./journal.ts";

/** How often the panel is drawn anew while nothing happens, milliseconds: timers and listeners change without a record. */
const REFRESH = 1_000;

const COLUMNS = ["stream", "state", "way", "cursor", "attempts", "failures", "next try", "events", "gaps", "missed", "error"];

const STYLE = `
  :host { all: initial; position: fixed; right: 8px; bottom: 8px; z-index: 2147483647; max-width: calc(100vw - 16px);
    font: 12px/1.4 ui-monospace, monospace; color: #e6e6e6; }
  details { background: #1b1e24; border: 1px solid #3a404b; border-radius: 6px; padding: 4px 8px; }
  summary { cursor: pointer; }
  div { overflow: auto; max-height: 40vh; }
  th, td { padding: 2px 8px; text-align: left; white-space: nowrap; max-width: 30ch; overflow: hidden; text-overflow: ellipsis; }
  th { color: #9aa4b2; font-weight: normal; }
`;

/** The table on the page. It has its own root, so no style of the page reaches it, and its own timer, which `remove` takes back. */
export class Panel {
  readonly #host: HTMLElement;
  readonly #root: ShadowRoot;
  readonly #summary: HTMLElement;
  readonly #table: HTMLElement;
  readonly #streams: () => StreamReport[];
  readonly #timer: ReturnType<typeof setInterval>;
  #frame: number | undefined;

  constructor(parent: ParentNode, streams: () => StreamReport[]) {
    this.#streams = streams;
    this.#host = document.createElement("watertight-devtools");
    this.#root = this.#host.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = STYLE;
    const details = document.createElement("details");
    this.#summary = document.createElement("summary");
    this.#table = document.createElement("table");
    const scroller = document.createElement("div");
    scroller.append(this.#table);
    details.append(this.#summary, scroller);
    this.#root.append(style, details);
    parent.append(this.#host);
    this.#timer = setInterval(() => this.#draw(), REFRESH);
    this.#draw();
  }

  /** Something changed: drawn with the next frame. */
  changed(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#draw();
    });
  }

  remove(): void {
    clearInterval(this.#timer);
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#host.remove();
  }

  #draw(): void {
    const { attempts, timers, listeners, handlers } = ledger;
    const streams = this.#streams();
    this.#summary.textContent =
      `watertight: streams ${streams.length}, requests ${attempts}, timers ${timers}, listeners ${listeners}, handlers ${handlers}`;
    this.#table.replaceChildren(this.#row("th", COLUMNS), ...streams.map((stream) => this.#row("td", cells(stream))));
  }

  #row(cell: "th" | "td", texts: readonly string[]): HTMLElement {
    const row = document.createElement("tr");
    for (const text of texts) {
      const element = document.createElement(cell);
      // Text, never markup: names and messages come from elsewhere.
      element.textContent = element.title = text;
      row.append(element);
    }
    return row;
  }
}

function cells(stream: StreamReport): string[] {
  const { name, state, way, cursor, attempts, failures, waits, events, gaps, missed, error } = stream;
  const next = waits === undefined ? "" : `in ${(waits / 1000).toFixed(1)} s`;
  return [name, state, way, cursor, `${attempts}`, `${failures}`, next, `${events}`, `${gaps}`, `${missed}`, error];
}
