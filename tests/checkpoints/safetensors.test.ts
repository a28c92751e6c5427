import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { type TensorSource, writeSafetensors, writeSafetensorsFile } from "../../src/checkpoints/safetensors-writer.ts";
import { messageOf, safetensorsBytes, temporaryFile, temporaryFolder } from "./fixtures.ts";

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

function open(header: object | string, dataBytes = 0, claimedLength?: bigint): SafetensorsFile {
  return new SafetensorsFile(
    temporaryFile("m.safetensors", safetensorsBytes(header, new Uint8Array(dataBytes), claimedLength)),
  );
}

describe("reading", () => {
  test("F32, F16 and BF16 tensors come out as float32, in any order and more than once", () => {
    const values = Float32Array.of(1.5, -2.25, 1e-30);
    const data = new Uint8Array(12 + 4 + 4);
    data.set(new Uint8Array(values.buffer), 0);
    data.set(new Uint8Array(Uint16Array.of(0x3c00, 0xc100).buffer), 12);
    data.set(new Uint8Array(Uint16Array.of(0x3f80, 0xc020).buffer), 16);
    const header = {
      __metadata__: { format: "pt" },
      half: { dtype: "F16", shape: [2, 1], data_offsets: [12, 16] },
      brain: { dtype: "BF16", shape: [2], data_offsets: [16, 20] },
      full: { dtype: "F32", shape: [1, 3], data_offsets: [0, 12] },
    };
    const file = new SafetensorsFile(temporaryFile("m.safetensors", safetensorsBytes(header, data)));
    expect([...file.read("brain")]).toEqual([1, -2.5]);
    expect([...file.read("full")]).toEqual([...values]);
    expect([...file.read("half")]).toEqual([1, -2.5]);
    expect([...file.read("full")]).toEqual([...values]);
    expect([...file.tensors.values()]).toEqual([
      { name: "half", shape: [2, 1], storage: "F16" },
      { name: "brain", shape: [2], storage: "BF16" },
      { name: "full", shape: [1, 3], storage: "F32" },
    ]);
    expect(file.metadata).toEqual(new Map([["format", "pt"]]));
    file[Symbol.dispose]();
  });

  test("half-precision tensors longer than the scratch buffer are widened whole", () => {
    const count = 2 ** 20 + 12345;
    const halves = Uint16Array.from({ length: count }, (_, i) => 0x3f80 + (i % 97));
    const header = { big: { dtype: "BF16", shape: [count], data_offsets: [0, 2 * count] } };
    const file = new SafetensorsFile(
      temporaryFile("m.safetensors", safetensorsBytes(header, new Uint8Array(halves.buffer))),
    );
    const bits = new Uint32Array(file.read("big").buffer);
    expect(bits.length).toBe(count);
    expect(bits.every((value, i) => value >>> 16 === halves[i])).toBe(true);
    file[Symbol.dispose]();
  });

  test("a tensor that lies beyond 2 GiB and 4 GiB of a (sparse) file is found", () => {
    const distance = 5 * 2 ** 30;
    const path = temporaryFile(
      "m.safetensors",
      safetensorsBytes({ far: f32(0, distance), here: f32(distance, distance + 4) }),
    );
    const { size } = statSync(path);
    truncateSync(path, size + distance + 4);
    const descriptor = openSync(path, "r+");
    writeSync(descriptor, new Uint8Array(Float32Array.of(7.5).buffer), 0, 4, size + distance);
    closeSync(descriptor);
    const file = new SafetensorsFile(path);
    expect([...file.read("here")]).toEqual([7.5]);
    file[Symbol.dispose]();
  });

  test("scalars and empty tensors are tensors too", () => {
    const file = open({ scalar: f32(0, 4, []), empty: f32(4, 4, [0, 7]) }, 4);
    expect([file.read("scalar").length, file.read("empty").length]).toEqual([1, 0]);
  });

  test("a tensor of integers is left out, and asking for it names its dtype", () => {
    const file = open({ ids: { dtype: "I64", shape: [2], data_offsets: [0, 16] } }, 16);
    expect([...file.tensors.keys()]).toEqual([]);
    expect([...file.unreadable]).toEqual([["ids", "I64"]]);
    expect(messageOf(() => file.read("ids"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "ids" has the dtype I64; weights must be F32, F16 or BF16."`,
    );
  });

  test("asking for a tensor that is not there names it", () => {
    expect(messageOf(() => open({}).read("lm_head.weight"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: has no tensor "lm_head.weight"."`,
    );
  });

  test("a closed file says so", () => {
    const file = open({ a: f32(0, 4) }, 4);
    file[Symbol.dispose]();
    file[Symbol.dispose]();
    expect(messageOf(() => file.read("a"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: was closed; open the checkpoint again to read from it."`,
    );
  });
});

describe("a header that breaks a rule of the format is refused", () => {
  const withShape = (shape: string) => `{"a":{"dtype":"F32","shape":${shape},"data_offsets":[0,4]}}`;

  test("length", () => {
    expect(
      messageOf(() => new SafetensorsFile(temporaryFile("m.safetensors", new Uint8Array(7)))),
    ).toMatchInlineSnapshot(`"CheckpointError: /m.safetensors: is 7 bytes long, too short for a safetensors file."`);
    expect(messageOf(() => open({}, 0, 100_000_001n))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: claims a header of 100000001 bytes; safetensors allows 100000000. Is it a safetensors file?"`,
    );
    expect(messageOf(() => open({}, 0, 2n ** 64n - 1n))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: claims a header of 18446744073709551615 bytes; safetensors allows 100000000. Is it a safetensors file?"`,
    );
    expect(messageOf(() => open({}, 0, 3n))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: claims a header of 3 bytes, but only 2 follow. The file is incomplete or not a safetensors file."`,
    );
  });

  test("not an object", () => {
    expect(messageOf(() => open("[1]"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: its header does not begin with "{", so it is not a safetensors file."`,
    );
    expect(messageOf(() => open(" {}"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: its header does not begin with "{", so it is not a safetensors file."`,
    );
    expect(messageOf(() => open('{"a":'))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header is not valid JSON: Unexpected end of JSON input."`,
    );
    expect(messageOf(() => open({ a: 1 }))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" must be an object, not 1."`,
    );
  });

  test("not UTF-8", () => {
    const bytes = safetensorsBytes('{"a?":{}}');
    bytes[11] = 0xff;
    expect(messageOf(() => new SafetensorsFile(temporaryFile("m.safetensors", bytes)))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header is not valid JSON: the bytes are not UTF-8 text."`,
    );
  });

  test("duplicate keys, of tensors or inside one, however they are escaped", () => {
    const entry = JSON.stringify(f32(0, 4));
    expect(messageOf(() => open(`{"a":${entry}, "a" :${entry}}`, 4))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header has the key "a" twice in one object."`,
    );
    expect(messageOf(() => open(`{"a":${entry},"\\u0061":${entry}}`, 4))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header has the key "a" twice in one object."`,
    );
    expect(
      messageOf(() => open('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4)),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header has the key "shape" twice in one object."`,
    );
    expect(messageOf(() => open('{"__metadata__":{"x":"1","x":"2"}}'))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the safetensors header has the key "x" twice in one object."`,
    );
  });

  test("the same text as key and as value, or in two objects, is no duplicate", () => {
    const file = open({ __metadata__: { a: "a", "b:": 'a": "' }, a: f32(0, 4), "b:": f32(4, 8) }, 8);
    expect([...file.tensors.keys()]).toEqual(["a", "b:"]);
  });

  test("metadata that is not text", () => {
    expect(messageOf(() => open({ __metadata__: { epoch: 3 } }))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: "__metadata__" in the safetensors header must map text to text, not "epoch" to 3."`,
    );
    expect(messageOf(() => open({ __metadata__: "pt" }))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: "__metadata__" in the safetensors header must map text to text, not "pt"."`,
    );
  });

  test("dtypes that safetensors does not have", () => {
    expect(messageOf(() => open({ a: { ...f32(0, 4), dtype: "Q4" } }, 4))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" has an unknown dtype ("Q4"). The file is damaged or incomplete: copy or download it again."`,
    );
    expect(messageOf(() => open({ a: { ...f32(0, 4), dtype: "toString" } }, 4))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" has an unknown dtype ("toString"). The file is damaged or incomplete: copy or download it again."`,
    );
    expect(messageOf(() => open({ a: { shape: [1], data_offsets: [0, 4] } }, 4))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" has an unknown dtype (missing). The file is damaged or incomplete: copy or download it again."`,
    );
  });

  test.each(["[-1]", "[0.5]", "[1e30]", '["1"]', "1", "null"])("shape %s", (shape) => {
    expect(() => open(withShape(shape), 4)).toThrow("it must be an array of whole numbers >= 0");
  });

  test("a byte range of another size than shape and dtype ask for", () => {
    expect(messageOf(() => open({ a: f32(0, 8, [3]) }, 8))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" is F32 of shape [3], 12 bytes, but its data_offsets span 8. The file is damaged or incomplete: copy or download it again."`,
    );
    expect(() => open({ a: { dtype: "F16", shape: [2], data_offsets: [0, 8] } }, 8)).toThrow(
      "4 bytes, but its data_offsets span 8",
    );
    expect(() => open({ a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, 2)).toThrow("1.5 bytes");
  });

  test("a shape whose size overflows", () => {
    const huge = 2 ** 53 - 1;
    expect(() => open({ a: f32(0, 4, [huge, huge, huge]) }, 4)).toThrow("bytes, but its data_offsets span 4");
  });

  test.each(["[4,0]", "[0]", "[0,4,8]", "[-4,0]", "[0.5,4.5]", "null"])("data_offsets %s", (offsets) => {
    const header = `{"a":{"dtype":"F32","shape":[1],"data_offsets":${offsets}}}`;
    expect(() => open(header, 4)).toThrow("they must be [begin, end] in bytes, begin <= end");
  });

  test("overlaps", () => {
    expect(messageOf(() => open({ a: f32(0, 8), b: f32(4, 12) }, 12))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensors "a" and "b" overlap. The file is damaged or incomplete: copy or download it again."`,
    );
    expect(() => open({ a: f32(0, 8), b: f32(0, 8) }, 8)).toThrow("overlap");
  });

  test("holes, between tensors and at the end", () => {
    expect(messageOf(() => open({ a: f32(0, 4), b: f32(8, 12) }, 12))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: 4 bytes before tensor "b" belong to no tensor. The file is damaged or incomplete: copy or download it again."`,
    );
    expect(messageOf(() => open({ a: f32(4, 8) }, 8))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: 4 bytes before tensor "a" belong to no tensor. The file is damaged or incomplete: copy or download it again."`,
    );
    expect(messageOf(() => open({ a: f32(0, 4) }, 9))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: the last 5 bytes belong to no tensor. The file is damaged or incomplete: copy or download it again."`,
    );
  });

  test("offsets past the end", () => {
    expect(messageOf(() => open({ a: f32(0, 400) }, 396))).toMatchInlineSnapshot(
      `"CheckpointError: /m.safetensors: tensor "a" ends at byte 466, past the file's end at 462. The file is damaged or incomplete: copy or download it again."`,
    );
  });
});

test("whatever bytes follow the length, a file is read or refused with a CheckpointError", () => {
  const path = join(temporaryFolder(), "m.safetensors");
  fc.assert(
    fc.property(
      fc.oneof(fc.json(), fc.string({ unit: "binary" })),
      fc.uint8Array({ maxLength: 16 }),
      (header, data) => {
        writeFileSync(path, safetensorsBytes(header, data));
        try {
          new SafetensorsFile(path)[Symbol.dispose]();
        } catch (error) {
          expect((error as Error).name).toBe("CheckpointError");
        }
      },
    ),
    { numRuns: 300 },
  );
});

describe("writing", () => {
  const tensor = (name: string, shape: number[], fill: number): TensorSource => ({
    name,
    shape,
    read: () => new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill),
  });

  test("what is written is read back bit for bit, data begins at a multiple of 8, and the metadata says pt", () => {
    const folder = temporaryFolder();
    const shape = fc.array(fc.nat(5), { maxLength: 3 });
    const tensors = fc.uniqueArray(fc.record({ name: fc.string({ minLength: 1 }), shape, seed: fc.nat() }), {
      selector: ({ name }) => name,
      maxLength: 6,
    });
    fc.assert(
      fc.property(tensors, (drawn) => {
        const sources = drawn
          .filter(({ name }) => name !== "__metadata__")
          .map(({ name, shape, seed }) => {
            const bits = Uint32Array.from(
              { length: shape.reduce((a, b) => a * b, 1) },
              (_, i) => (seed + i) * 2654435761,
            );
            return { name, shape, bits, read: () => new Float32Array(bits.buffer) };
          });
        const path = join(folder, "m.safetensors");
        writeSafetensorsFile(path, sources);
        expect(readFileSync(path).readBigUInt64LE() % 8n).toBe(0n);
        const file = new SafetensorsFile(path);
        expect(file.metadata).toEqual(new Map([["format", "pt"]]));
        expect(file.tensors.size).toBe(sources.length);
        for (const { name, shape, bits } of sources) {
          expect(file.tensors.get(name)?.shape).toEqual(shape);
          expect(new Uint32Array(file.read(name).buffer)).toEqual(bits);
        }
        file[Symbol.dispose]();
      }),
      { numRuns: 50 },
    );
  });

  test("a model within the limit is one file", () => {
    const folder = temporaryFolder();
    writeSafetensors(folder, [tensor("a", [4], 1), tensor("b", [4], 2)], { maxShardBytes: 32 });
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
  });

  test("a larger one is sharded, with an index in Hugging Face's form", () => {
    const folder = temporaryFolder();
    const tensors = [tensor("a", [4], 1), tensor("b", [4], 2), tensor("large", [3, 4], 3), tensor("c", [1], 4)];
    writeSafetensors(folder, tensors, { maxShardBytes: 32 });
    expect(readdirSync(folder).sort()).toEqual([
      "model-00001-of-00003.safetensors",
      "model-00002-of-00003.safetensors",
      "model-00003-of-00003.safetensors",
      "model.safetensors.index.json",
    ]);
    expect(JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_parameters: 21, total_size: 84 },
      weight_map: {
        a: "model-00001-of-00003.safetensors",
        b: "model-00001-of-00003.safetensors",
        large: "model-00002-of-00003.safetensors",
        c: "model-00003-of-00003.safetensors",
      },
    });
  });

  test("each tensor is asked for once, when its turn comes", () => {
    const path = join(temporaryFolder(), "m.safetensors");
    const sizes: number[] = [];
    const source = (name: string): TensorSource => ({
      ...tensor(name, [2], 0),
      read: () => {
        sizes.push(statSync(`${path}.tmp-${process.pid}`).size);
        return new Float32Array(2);
      },
    });
    writeSafetensorsFile(path, [source("a"), source("b")]);
    expect(sizes.length).toBe(2);
    expect(sizes[1]! - sizes[0]!).toBe(8);
  });

  test("a write that fails leaves what was there and nothing else", () => {
    const folder = temporaryFolder();
    const path = join(folder, "m.safetensors");
    writeSafetensorsFile(path, [tensor("a", [1], 7)]);
    const before = readFileSync(path);
    const failing: TensorSource = {
      name: "b",
      shape: [1],
      read: () => {
        throw new Error("out of luck");
      },
    };
    expect(() => writeSafetensorsFile(path, [tensor("a", [1], 8), failing])).toThrow("out of luck");
    expect(readdirSync(folder)).toEqual(["m.safetensors"]);
    expect(readFileSync(path)).toEqual(before);
  });

  test("a tensor of another size than its shape, or of a name that was written, is a defect that stops the write", () => {
    const path = join(temporaryFolder(), "m.safetensors");
    const wrong = { name: "w", shape: [3], read: () => new Float32Array(2) };
    expect(() => writeSafetensorsFile(path, [wrong])).toThrow('tensor "w" has 2 values for the shape [3]');
    expect(() => writeSafetensorsFile(path, [tensor("a", [1], 1), tensor("a", [1], 1)])).toThrow(
      "can't be written twice",
    );
  });
});
