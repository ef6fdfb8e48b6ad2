/**
 * Lets everything happen that is not waiting for time: promises, streams, React's own scheduling.
 *
 * By message channels where there are any: they are the one kind of task that no test runner's fake timers replace.
 */
export async function settle(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    if (typeof MessageChannel === "function") await task();
    else for (let step = 0; step < 100; step++) await undefined;
  }
}

function task(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      // A port that is left open keeps a Node.js process alive.
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
