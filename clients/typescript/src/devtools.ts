/**
 * A small panel on the page that shows all streams: their states, cursors, attempts and gaps, and what is open.
 *
 * In a production bundle (`process.env.NODE_ENV` is `production`) there is nothing of it but an empty function.
 *
 * @packageDocumentation
 */
import { Journal, type StreamReport } from "./devtools/journal.ts";
import { Panel } from "./devtools/panel.ts";
import type { DebugRecord } from "./index.ts";

export type { StreamReport } from "./devtools/journal.ts";

declare const process: { env: { NODE_ENV?: string } };

/** Where a panel can be put: any element. Named so that types need no DOM library. */
export interface PanelParent {
  /** As of an element. */
  append(...nodes: never[]): void;
}

/** Settings of {@link createDevtools}. */
export interface DevtoolsOptions {
  /** Where the panel is put. Default: the body, where there is a document. */
  parent?: PanelParent | undefined;
}

/** What {@link createDevtools} gives. */
export interface Devtools {
  /** The option `debug` of every client, hook or provider that is to be seen. */
  readonly debug: (record: DebugRecord) => void;
  /** What the panel shows, also where there is no page. Always empty in production. */
  streams(): StreamReport[];
  /** Takes the panel off the page, and its timer with it. */
  remove(): void;
}

/**
 * Makes a panel. It comes onto the page with the first record, and holds nothing of a client that was destroyed.
 *
 * ```ts
 * const devtools = createDevtools();
 * const client = new SSEClient({ sessionId: "orders", debug: devtools.debug });
 * ```
 */
export function createDevtools(options: DevtoolsOptions = {}): Devtools {
  return create(options);
}

let create: (options: DevtoolsOptions) => Devtools = () => ({ debug: () => {}, streams: () => [], remove: () => {} });
try {
  // Bundlers replace this as it stands, and all that only `createPanel` uses is gone.
  if (process.env.NODE_ENV !== "production") create = createPanel;
} catch {
  // No process: nobody bundled this.
  create = createPanel;
}

function createPanel({ parent }: DevtoolsOptions): Devtools {
  const journal = new Journal();
  let panel: Panel | undefined;
  let isRemoved = false;
  return {
    debug: (record) => {
      journal.take(record);
      const where = parent ?? globalThis.document?.body;
      if (where && !isRemoved) panel ??= new Panel(where as ParentNode, () => journal.streams());
      panel?.changed();
    },
    streams: () => journal.streams(),
    remove: () => {
      isRemoved = true;
      panel?.remove();
      panel = undefined;
    },
  };
}
