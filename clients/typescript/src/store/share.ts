import type { Unsubscribe } from "../index.ts";
import { keyOf, type StreamOptions } from "./options.ts";
import { Subscription } from "./subscription.ts";

/** A subscription whose options change from time to time, for frameworks other than React. */
export interface Share {
  readonly subscription: Subscription;
  /** Takes over options; begins with the first ones. Only what means another stream, or `enabled`, moves it. */
  apply(options: StreamOptions<any>): void;
  /** Gives everything back but the place in the stream; `apply` begins again. */
  end(): void;
}

/** @throws TypeError from `apply`, if no option says which stream is meant, unless `enabled` is false. */
export function createShare(enabled = true): Share {
  const subscription = new Subscription(enabled);
  let mounted: { key: string | undefined; enabled: boolean; unmount: Unsubscribe } | undefined;
  const end = (): void => {
    mounted?.unmount();
    mounted = undefined;
  };
  return {
    subscription,
    end,
    apply(options) {
      const { enabled: isEnabled = true } = options;
      const key = keyOf(options);
      if (!key && isEnabled) throw new TypeError("a stream needs a sessionId or a url (or key)");
      subscription.update(options, key);
      if (mounted?.key === key && mounted?.enabled === isEnabled) return;
      end();
      mounted = { key, enabled: isEnabled, unmount: subscription.mount(key, isEnabled) };
    },
  };
}
