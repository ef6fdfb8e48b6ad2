import { SSEError } from "./errors.ts";

/** The bodies of an attempt's answers, one at a time: it reads them, and owes each of them a way out. */
export interface Body {
  /** Whatever comes of this answer, `giveBack` ends it. @throws SSEError if nobody can read it */
  hold(response: Response): void;
  /** Reads until the end, or until `take` says false, or until the attempt has ended. */
  read(response: Response, take: (bytes: Uint8Array) => unknown): Promise<void>;
  /** The body as text, cut off where it is longer than `max`. */
  readText(response: Response, max: number): Promise<string>;
  giveBack(): void;
}

/** @param isLive whether the attempt goes on */
export function createBody(isLive: () => boolean): Body {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  const read = async (response: Response, take: (bytes: Uint8Array) => unknown): Promise<void> => {
    if (!reader) {
      // Where `fetch` has no streams (React Native), the body is there when all of it is.
      const text = await response.text();
      if (text && isLive()) take(new TextEncoder().encode(text));
      return;
    }
    for (;;) {
      const { done, value } = await reader.read();
      if (!isLive() || done || take(value) === false) return;
    }
  };

  return {
    read,
    hold({ body }) {
      if (body && typeof body.getReader !== "function") {
        // `node-fetch` and its like.
        (body as { destroy?(): void }).destroy?.();
        throw new SSEError("protocol", "no web stream: node-fetch");
      }
      reader = body?.getReader();
    },
    async readText(response, max) {
      const decoder = new TextDecoder();
      let text = "";
      await read(response, (bytes) => {
        text += decoder.decode(bytes, { stream: true });
        return text.length <= max;
      });
      return text;
    },
    giveBack() {
      // A fetch that takes no heed of its signal must not keep the socket. Cancelling cannot fail in a way that matters.
      reader?.cancel?.()?.catch(() => {});
    },
  };
}
