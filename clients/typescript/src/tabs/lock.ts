/** Web Locks, as far as sharing needs them. A lock goes when its tab does: that is how the others know. */

/** Takes the lock if nobody has it; what it returns gives it back. */
export function tryLock(key: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null): Promise<void> | undefined => {
      if (!lock) return void resolve(undefined);
      return new Promise((unlock) => resolve(unlock));
    };
    navigator.locks.request(key, { ifAvailable: true }, held).catch(reject);
  });
}

/** Calls `gone` when nobody has the lock any more, unless `signal` is aborted first. Keeps nothing. */
export function whenUnlocked(key: string, signal: AbortSignal, gone: () => void): void {
  navigator.locks.request(key, { signal }, () => gone()).catch(() => {
    // Aborted: nobody wants to know any more.
  });
}
