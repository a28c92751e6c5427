/**
 * Decodes row groups in a thread of its own. What damaged data makes of the decoder (arrays without end, no answer) then ends that
 * thread, and not the process. The thread's program is text because a thread starts from JavaScript, in the build and in the
 * tests, which run the sources, alike.
 */

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

const program = `
const { parentPort, workerData } = require("node:worker_threads");
let told = 0;
const tell = () => {
  if (performance.now() - told < workerData.every) return;
  told = performance.now();
  parentPort.postMessage({});
};
const opened = (async () => {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import(workerData.hyparquet);
  const { compressors } = await import(workerData.compressors);
  const file = await asyncBufferFromFile(workerData.file);
  const metadata = await parquetMetadataAsync(file);
  return (range) => parquetReadObjects({ file, metadata, compressors, onPage: tell, ...range });
})();
let rows = [];
parentPort.on("message", async (range) => {
  try {
    if (range) {
      const read = await opened;
      parentPort.postMessage({});
      rows = await read(range);
    }
    parentPort.postMessage({ rows: rows.splice(0, workerData.batch) });
  } catch (error) {
    parentPort.postMessage({ error: error.message });
  }
});
`;

const require = createRequire(import.meta.url);
const urlOf = (name: string) => pathToFileURL(require.resolve(name)).href;

interface Range {
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** Rows that are handed over at once: each is in memory twice meanwhile. */
const BATCH = 500;

/**
 * Decoding is a matter of seconds a gigabyte, of which a page, the least that is told of, is a small part. What has been damaged so that
 * it has no end is at one page for ever, or has pages without end.
 */
const PATIENCE = { opening: 20_000, silence: 3_000, whole: 20_000, silencePerMebibyte: 100, wholePerMebibyte: 200 };

/** Milliseconds between two words of a thread that decodes. */
const EVERY = 100;

export class ParquetThread implements AsyncDisposable {
  private readonly worker: Worker;
  private failure: Error | undefined;
  /** Whether the thread has said something: it takes a while to start, whatever the file. */
  private isOpen = false;

  /** `largest` is what the largest row group takes, in bytes. */
  constructor(file: string, largest: number) {
    const maxOldGenerationSizeMb = 512 + Math.ceil((8 * largest) / 2 ** 20);
    this.worker = new Worker(program, {
      eval: true,
      workerData: {
        file,
        batch: BATCH,
        every: EVERY,
        hyparquet: urlOf("hyparquet"),
        compressors: urlOf("hyparquet-compressors"),
      },
      resourceLimits: { maxOldGenerationSizeMb },
    });
    this.worker.on("error", (error: Error & { code?: string }) => {
      this.failure = error.code === "ERR_WORKER_OUT_OF_MEMORY" ? new Error("its rows take all memory") : error;
    });
  }

  /** The rows of a range as objects, some at a time; `bytes` is what they take, unpacked. Throws Error with what is wrong with the data. */
  async *rows(range: Range, bytes: number): AsyncGenerator<unknown> {
    const mebibytes = bytes / 2 ** 20;
    const patience = {
      silence: PATIENCE.silence + PATIENCE.silencePerMebibyte * mebibytes,
      whole: PATIENCE.whole + PATIENCE.wholePerMebibyte * mebibytes,
    };
    let batch = await this.ask(range, patience);
    for (let left = range.rowEnd - range.rowStart; left > 0 && batch.length > 0; ) {
      yield* batch;
      left -= batch.length;
      if (left > 0) batch = await this.ask(undefined, patience);
    }
  }

  private async ask(range: Range | undefined, patience: { silence: number; whole: number }): Promise<unknown[]> {
    const { worker } = this;
    if (this.failure) throw this.failure;
    const { promise, resolve, reject } = settled<unknown[]>();
    const giveUp = () => reject(new Error("its rows have no end"));
    const whole = setTimeout(giveUp, patience.whole);
    let silence: NodeJS.Timeout;
    const awaitWord = (milliseconds: number) => {
      silence = setTimeout(() => {
        // What it said while this thread was busy is read in between.
        silence = setTimeout(giveUp, EVERY);
      }, milliseconds);
    };
    awaitWord(this.isOpen ? patience.silence : PATIENCE.opening);
    const onMessage = ({ rows, error }: { rows?: unknown[]; error?: string }) => {
      this.isOpen = true;
      clearTimeout(silence);
      if (error !== undefined) reject(new Error(error));
      else if (rows !== undefined) resolve(rows);
      else awaitWord(patience.silence);
    };
    const onError = () => reject(this.failure!);
    worker.on("message", onMessage).on("error", onError).postMessage(range);
    try {
      return await promise;
    } finally {
      clearTimeout(whole);
      clearTimeout(silence!);
      worker.off("message", onMessage).off("error", onError);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.terminate();
  }
}

function settled<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}
