/** One request, from the hub's side: what was asked, and the answer as far as it was given. */
export class HubConnection {
  /** The answer's head. */
  readonly response: Promise<Response>;
  #resolve!: (response: Response) => void;
  #reject!: (error: unknown) => void;
  #signal: AbortSignal | undefined;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  #over: (connection: HubConnection) => void;
  #open = true;

  /** @param over called once, when either side has ended it */
  constructor(signal: AbortSignal | undefined, over: (connection: HubConnection) => void) {
    this.#signal = signal;
    this.#over = over;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener("abort", this.#abort);
  }

  get open(): boolean {
    return this.#open;
  }

  /** The whole answer at once. */
  answer(status: number, headers: HeadersInit, body: string | null): void {
    if (!this.#end()) return;
    this.#resolve(new Response(body, { status, headers }));
  }

  /** The head, with a body to be written. */
  begin(headers: HeadersInit): void {
    if (!this.#open) return;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller;
      },
      cancel: () => void this.#end(),
    });
    this.#resolve(new Response(body, { status: 200, headers }));
  }

  /** @param pieces bytes that each arrive by themselves */
  write(pieces: readonly Uint8Array[]): void {
    if (this.#open) for (const piece of pieces) this.#body?.enqueue(piece);
  }

  /** Ends the body as it should be. */
  close(): void {
    if (!this.#end()) return;
    this.#body?.close();
    this.#reject(new TypeError("the hub closed the connection"));
  }

  /** Breaks it. */
  fail(error: unknown): void {
    if (!this.#end()) return;
    this.#body?.error(error);
    this.#reject(error);
  }

  #abort = (): void => this.fail(this.#signal?.reason);

  /** Whether it was open until now. */
  #end(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#over(this);
    return true;
  }
}
