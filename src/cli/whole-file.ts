/** A result that has its name only once it is complete. */

import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { systemReason } from "../checkpoints/files.ts";
import { ConfigError } from "../errors.ts";

/** A text file under a temporary name beside its own, which it gets when it is completed. */
export class WholeFile implements Disposable {
  private readonly flag: string;
  private readonly path: string;
  private readonly temporary: string;
  private descriptor: number | undefined;

  /** Throws ConfigError, by the flag that names the file, where it can't be written. */
  constructor(flag: string, path: string) {
    this.flag = flag;
    this.path = path;
    this.temporary = `${path}.tmp-${process.pid}`;
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      throw new ConfigError(`${flag} ${path} is a folder. Give the name of a file in it.`);
    }
    this.descriptor = this.orRefuse(() => openSync(this.temporary, "w"));
  }

  /** Throws ConfigError where it would take the place of a file that it is made from. */
  refuseAmong(sources: readonly string[]): void {
    const own = identity(this.path);
    if (own === undefined || !sources.some((source) => identity(source) === own)) return;
    throw new ConfigError(`${this.flag} ${this.path} is a file that is read for it. Give another name.`);
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    this.orRefuse(() => {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.descriptor!, bytes, done);
    });
  }

  complete(): void {
    this.orRefuse(() => {
      fsyncSync(this.descriptor!);
      this.close();
      renameSync(this.temporary, this.path);
    });
  }

  /** Leaves nothing of a file that was not completed. */
  [Symbol.dispose](): void {
    this.close();
    rmSync(this.temporary, { force: true });
  }

  private orRefuse<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new ConfigError(`${this.flag} ${this.path} can't be written (${systemReason(error)}).`, { cause: error });
    }
  }

  private close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}

/** The same for every name of a file; undefined where there is none. */
function identity(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found && `${found.dev}:${found.ino}`;
}
