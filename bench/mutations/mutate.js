/** Files made wrong in the ways that files go wrong, or are made to: seeded, so that every one of them can be made again. */

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = (random, list) => list[Math.floor(random() * list.length)];
const below = (random, n) => Math.floor(random() * n);

/** A copy of a file's bytes with one to three changes; `isText` says that changes of JSON make sense too. */
export function mutated(bytes, random, isText) {
  let result = Buffer.from(bytes);
  const changes = isText && random() < 0.6 ? textChanges : byteChanges;
  const times = 1 + below(random, 3);
  for (let i = 0; i < times && result.length > 0; i++) result = pick(random, changes)(result, random);
  return result;
}

const splice = (bytes, at, removed, added) =>
  Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(Math.min(bytes.length, at + removed))]);

/** Positions, more often near the beginning or the end, where headers and footers are. */
function position(bytes, random) {
  const where = random();
  const near = Math.min(bytes.length, 512);
  if (where < 0.3) return below(random, near);
  if (where < 0.5) return bytes.length - 1 - below(random, near);
  return below(random, bytes.length);
}

const span = (bytes, random) => 1 + below(random, Math.min(bytes.length, 2 ** below(random, 12)));

const lengths = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0xffffn,
  2n ** 24n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 40n,
  2n ** 53n,
  2n ** 60n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const byteChanges = [
  // A bit flips.
  (bytes, random) => {
    const at = position(bytes, random);
    bytes[at] ^= 1 << below(random, 8);
    return bytes;
  },
  // A byte is another.
  (bytes, random) => {
    bytes[position(bytes, random)] = pick(random, [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x5b, 0x7b, 0x0a, below(random, 256)]);
    return bytes;
  },
  // The file ends early.
  (bytes, random) => bytes.subarray(0, position(bytes, random)),
  // A number of 4 or 8 bytes is another: a length, a count, an offset.
  (bytes, random) => {
    const wide = random() < 0.7;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(pick(random, lengths));
    return splice(bytes, position(bytes, random), wide ? 8 : 4, number.subarray(0, wide ? 8 : 4));
  },
  // The same, added to what stands there.
  (bytes, random) => {
    const at = Math.min(position(bytes, random), Math.max(0, bytes.length - 4));
    if (bytes.length >= 4) bytes.writeUInt32LE((bytes.readUInt32LE(at) + pick(random, [1, 7, 255, 2 ** 31])) >>> 0, at);
    return bytes;
  },
  // A variable-length number of Thrift's: the largest of 5 or 10 bytes.
  (bytes, random) =>
    splice(bytes, position(bytes, random), 1, Buffer.from("ffffffff0f".repeat(1 + below(random, 2)), "hex")),
  // A span is gone, there twice, elsewhere, or noise.
  (bytes, random) => splice(bytes, position(bytes, random), span(bytes, random), Buffer.alloc(0)),
  (bytes, random) => {
    const at = position(bytes, random);
    return splice(bytes, at, 0, bytes.subarray(at, at + span(bytes, random)));
  },
  (bytes, random) => {
    const from = position(bytes, random);
    return splice(bytes, position(bytes, random), 0, bytes.subarray(from, from + span(bytes, random)));
  },
  (bytes, random) =>
    splice(
      bytes,
      position(bytes, random),
      0,
      Buffer.from(Array.from({ length: span(bytes, random) % 64 }, () => below(random, 256))),
    ),
];

/** What can stand for a value of JSON. */
const values = [
  "null",
  "true",
  "0",
  "-1",
  "0.5",
  "1e308",
  "1e999",
  "-1e15",
  String(2 ** 31),
  String(2n ** 60n),
  "123456789012345678901234567890",
  '""',
  '"x"',
  '"\\u0000"',
  '"\\ud800"',
  "[]",
  "{}",
  "[[]]",
  '[{"role":"user"}]',
  '{"content":1}',
  '{"__proto__":{"x":1}}',
  '"toString"',
  '"constructor"',
  '"(a+)+$"',
  '"["',
  '"\ufdd0"',
  "[null]",
  '["a","b"]',
  '{"type":"Sequence"}',
];

/** A value of JSON that begins at some place. */
const scalar = /"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null/gi;

function changeScalar(bytes, random, replacement) {
  const text = bytes.toString("latin1");
  scalar.lastIndex = position(bytes, random);
  let found = scalar.exec(text);
  if (found === null) {
    scalar.lastIndex = 0;
    found = scalar.exec(text);
  }
  if (found === null) return bytes;
  return splice(bytes, found.index, found[0].length, Buffer.from(replacement(found[0])));
}

const textChanges = [
  (bytes, random) => changeScalar(bytes, random, () => pick(random, values)),
  (bytes, random) => changeScalar(bytes, random, () => pick(random, values)),
  // Nested deeper than any stack.
  (bytes, random) =>
    changeScalar(bytes, random, (old) => {
      const depth = pick(random, [10, 1000, 100_000]);
      return random() < 0.5
        ? "[".repeat(depth) + old + "]".repeat(depth)
        : '{"a":'.repeat(depth) + old + "}".repeat(depth);
    }),
  // Longer than any.
  (bytes, random) =>
    changeScalar(
      bytes,
      random,
      () => `"${pick(random, ["a", " ", "<", "\\n", "\\u2581", "é"]).repeat(pick(random, [1000, 200_000]))}"`,
    ),
  // A key, or a value, of another name.
  (bytes, random) =>
    changeScalar(bytes, random, (old) =>
      old.startsWith('"') ? pick(random, ['"__proto__"', '"chosen"', '""', '"x"']) : "7",
    ),
  // Bytes that are no UTF-8.
  (bytes, random) =>
    splice(
      bytes,
      position(bytes, random),
      0,
      pick(random, [Buffer.from([0xff]), Buffer.from([0xc0, 0x80]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0])]),
    ),
  // Marks that the formats are made of.
  (bytes, random) =>
    splice(
      bytes,
      position(bytes, random),
      below(random, 2),
      Buffer.from(
        pick(random, ['"', "[", "]", "{", "}", ",", ":", "\n", "\t", "\\", "{%", "%}", "{{", "}}", "range(10**9)"]),
      ),
    ),
  ...byteChanges.slice(5),
];
