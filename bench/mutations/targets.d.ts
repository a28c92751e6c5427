export interface Target {
  readonly name: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly mutated: string;
  readonly isText: boolean;
  open(folder: string): Promise<unknown>;
}
export function targetsOf(library: Readonly<Record<string, unknown>>): Target[];
export function writeTarget(folder: string, target: Target): void;
export function verdictOf(
  target: Target,
  folder: string,
  isRefusal: (error: unknown) => boolean,
): Promise<string | undefined>;
