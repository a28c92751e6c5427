/** Ctrl-C and SIGTERM: the first asks the command to come to an end, the second ends the process at once. */

const signals = { SIGINT: 130, SIGTERM: 143 } as const;

interface Interruption extends Disposable {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** What a shell expects of a process that the signal ended; undefined while there was none. */
  readonly exitCode: number | undefined;
}

/**
 * Watches for both signals until disposed of. After the first they have their usual effect again, which the system gives
 * them even while the engine computes and no JavaScript runs.
 */
export function watchInterrupt(announce: () => void): Interruption {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const stopWatching = () => {
    for (const name of Object.keys(signals)) process.off(name, first);
  };
  const first = (name: keyof typeof signals) => {
    exitCode = signals[name];
    stopWatching();
    announce();
    controller.abort();
  };
  for (const name of Object.keys(signals)) process.on(name, first);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    [Symbol.dispose]: stopWatching,
  };
}
