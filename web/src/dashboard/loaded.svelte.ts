/** Something that is fetched again whenever what it depends on changes; what was there stays until the new one is. */

import { untrack } from "svelte";

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  readonly loading: boolean;
  retry(): void;
}

/**
 * Calls `load` now and whenever something reactive changes that it reads before its first `await`. Returns undefined from
 * `load` to wait. Call it while a component is set up.
 */
export function loaded<T>(load: (signal: AbortSignal) => Promise<T> | undefined): Loaded<T> {
  let value = $state.raw<T>();
  let error = $state.raw<Error>();
  let loading = $state(true);
  let attempt = $state(0);

  $effect(() => {
    void attempt;
    const abort = new AbortController();
    const promise = load(abort.signal);
    untrack(() => {
      loading = promise !== undefined;
    });
    promise?.then(
      (next) => {
        if (abort.signal.aborted) return;
        [value, error, loading] = [next, undefined, false];
      },
      (reason) => {
        if (abort.signal.aborted) return;
        error = reason instanceof Error ? reason : new Error(String(reason));
        loading = false;
      },
    );
    return () => abort.abort();
  });

  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    get loading() {
      return loading;
    },
    retry() {
      attempt++;
    },
  };
}
