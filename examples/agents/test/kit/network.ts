import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** A way through the network that a test can cut: a browser's own switch (`setOffline`) leaves streams that are open alone. */
export class Way {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#accept(socket));
  #target = 0;
  #isCut = false;

  /** Listens on a free port; what it leads to may come later. */
  static async open(): Promise<Way> {
    const way = new Way();
    way.#server.listen(0, "127.0.0.1");
    await once(way.#server, "listening");
    return way;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  leadTo(url: string): void {
    this.#target = Number(new URL(url).port);
  }

  /** Breaks everything off that is under way, and takes nothing more until `mend`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    if (this.#isCut) return void socket.resetAndDestroy();
    const onward = connect(this.#target, "127.0.0.1");
    for (const [one, other] of [[socket, onward] as const, [onward, socket] as const]) {
      this.#sockets.add(one);
      one.pipe(other);
      // What breaks on one side breaks on the other.
      one.on("error", () => other.destroy());
      one.once("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
