/** A signal that knows how many listen to it. */
export function countingSignal(): { signal: AbortSignal; abort(): void; listeners(): number } {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: unknown[]): void => {
    listeners++;
    (add as (...args: unknown[]) => void)(...args);
  };
  signal.removeEventListener = (...args: unknown[]): void => {
    listeners--;
    (remove as (...args: unknown[]) => void)(...args);
  };
  return { signal, abort: () => controller.abort(), listeners: () => listeners };
}
