/** What a file system says of a path, in words. */

import { DataError } from "../../errors.ts";
import { excerpt } from "../problem.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file. Check the path",
  EISDIR: "it is a folder. Name the preference file in it",
  EACCES: "it may not be read. Check its permissions",
  ELOOP: "it is a link that leads to itself. Name the file itself",
  ENAMETOOLONG: "no file has so long a name. Check the path",
};

/** The error of a file or folder that can't be read; `otherwise` is the reason where the system's code says none. */
export function fileError(path: string, error: NodeJS.ErrnoException, otherwise?: string): DataError {
  const reason = reasons[error.code ?? ""] ?? otherwise ?? `it can't be read (${excerpt(error.message, 160)})`;
  return new DataError(`${excerpt(path, 200)}: ${reason}.`, { cause: error });
}

/** What `look` finds. Throws DataError that names the path where the system refuses. */
export function onPath<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw fileError(path, error as NodeJS.ErrnoException);
  }
}
