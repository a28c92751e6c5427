/** A slow machine is no fault of the pages: how long plugins take is not warned of. */
export const QUIET = { checks: { bundlerTimings: false } } as const;
