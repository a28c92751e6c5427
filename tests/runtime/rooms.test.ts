import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));

const BELOW_TRAINING = [
  "tensor",
  "runtime",
  "checkpoints",
  "hub",
  "text",
  "data",
  "models",
  "objectives",
  "sampling",
  "diagnostics",
];

/** What a room may import besides itself, packages and the loose files of `src/`; of the rooms in `types` only types. */
const ROOMS: Readonly<Record<string, { readonly imports: readonly string[]; readonly types?: readonly string[] }>> = {
  tensor: { imports: [] },
  runtime: { imports: ["tensor"] },
  checkpoints: { imports: [] },
  hub: { imports: ["checkpoints"] },
  text: { imports: [], types: ["checkpoints"] },
  data: { imports: ["text"] },
  models: { imports: ["tensor", "checkpoints"], types: ["runtime"] },
  objectives: { imports: ["tensor"] },
  sampling: { imports: ["tensor", "runtime", "models", "text"], types: ["checkpoints"] },
  diagnostics: { imports: [], types: ["data"] },
  training: { imports: BELOW_TRAINING },
  evaluation: { imports: [...BELOW_TRAINING, "training"] },
  export: { imports: [...BELOW_TRAINING, "training"] },
  inspection: { imports: [...BELOW_TRAINING, "training"] },
  demo: { imports: [...BELOW_TRAINING, "training", "evaluation"] },
  browser: { imports: [...BELOW_TRAINING, "training", "demo"] },
  dashboard: { imports: ["checkpoints", "training"], types: ["data", "diagnostics"] },
  cli: { imports: [...BELOW_TRAINING, "training", "evaluation", "export", "inspection", "demo", "dashboard"] },
};

/** Packages that need neither Node nor the engine. */
const EVERYWHERE = /^(zod|@bufbuild\/.+|@huggingface\/(tokenizers|jinja))$/;

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** The imports and re-exports of a file, each with what it names. */
function importsOf(file: string): Import[] {
  const source = readFileSync(file, "utf8");
  const statements = source.matchAll(/^(import|export)\s(?<what>[^;"]*?\sfrom\s|)"(?<from>[^"]+)"/gm);
  const dynamic = source.matchAll(/\bimport\("(?<from>[^"]+)"\)/g);
  return [...statements, ...dynamic].map(({ groups }) => ({
    from: groups!.from!,
    typeOnly: groups!.what?.startsWith("type ") ?? false,
  }));
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const roomOf = (file: string): string | undefined => (file.includes(sep) ? file.split(sep)[0] : undefined);
const rooms = [...new Set(files.map(roomOf))].filter((room) => room !== undefined);

describe("the rooms of the house", () => {
  it("are all in the table of who may import whom", () => {
    expect(rooms.filter((room) => !(room in ROOMS))).toEqual([]);
  });

  it.each(rooms)("%s imports only from the rooms below it", (room) => {
    const { imports, types = [] } = ROOMS[room]!;
    const strays = files
      .filter((file) => roomOf(file) === room)
      .flatMap((file) =>
        importsOf(join(SRC, file)).flatMap(({ from, typeOnly }) => {
          if (!from.startsWith(".")) return [];
          const other = roomOf(relative(SRC, join(SRC, dirname(file), from)));
          const allowed = [room, undefined, ...imports, ...(typeOnly ? types : [])];
          return allowed.includes(other) ? [] : [`${file} imports ${from}`];
        }),
      );
    expect(strays).toEqual([]);
  });

  it("load ONNX Runtime in src/runtime/node.ts alone, and elsewhere in src/runtime know its types", () => {
    const users = files.flatMap((file) =>
      importsOf(join(SRC, file))
        .filter(({ from }) => from.startsWith("onnxruntime"))
        .map(({ typeOnly }) => ({ file, typeOnly })),
    );
    expect(users.filter(({ typeOnly }) => !typeOnly)).toEqual([{ file: join("runtime", "node.ts"), typeOnly: false }]);
    expect(users.filter(({ file }) => roomOf(file) !== "runtime")).toEqual([]);
  });

  it.each(["tensor/index.ts", "objectives/index.ts", "runtime/interpreter.ts", "browser/index.ts"])(
    "keep %s, which a browser loads, free of Node and of the engine",
    (entry) => {
      const reached = new Set([join(SRC, entry)]);
      const packages = new Set<string>();
      for (const file of reached) {
        for (const { from, typeOnly } of importsOf(file)) {
          if (typeOnly) continue;
          if (from.startsWith(".")) reached.add(join(dirname(file), from));
          else packages.add(from);
        }
      }
      expect([...reached].every(existsSync)).toBe(true);
      expect([...packages].filter((name) => !EVERYWHERE.test(name))).toEqual([]);
    },
  );
});
