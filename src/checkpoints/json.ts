/**
 * JSON that is not to be trusted: strict UTF-8, an object at the top, errors that name where it is from, and (where a
 * format forbids them) duplicate keys, which `JSON.parse` keeps silent about.
 */
import { CheckpointError } from "../errors.ts";
import type { Json, JsonObject } from "./checkpoint.ts";

/** Far above what any of the files needs, far below what a function that calls itself for every level can bear. */
const MAX_NESTING = 64;

/** Parses UTF-8 bytes as a JSON object; `where` opens the message of the CheckpointError that anything else gets. */
export function parseJsonObject(bytes: Uint8Array, where: string, options: { uniqueKeys?: boolean } = {}): JsonObject {
  let text: string;
  let value: Json;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    value = JSON.parse(text) as Json;
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : "the bytes are not UTF-8 text";
    throw new CheckpointError(`${where} is not valid JSON: ${reason}.`);
  }
  if (!nestsWithin(value, MAX_NESTING)) {
    throw new CheckpointError(`${where} nests deeper than ${MAX_NESTING} levels, as no model's does.`);
  }
  if (!isJsonObject(value)) throw new CheckpointError(`${where} must be a JSON object, not ${describeJson(value)}.`);
  if (options.uniqueKeys) {
    const duplicate = findDuplicateKey(text);
    if (duplicate !== undefined) {
      throw new CheckpointError(`${where} has the key ${JSON.stringify(duplicate)} twice in one object.`);
    }
  }
  return value;
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nestsWithin(value: Json, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((item) => nestsWithin(item, levels - 1));
}

/** A JSON value in a few words, for messages. */
export function describeJson(value: Json | undefined): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return JSON.stringify(value).slice(0, 60);
}

/** The first key that some object in `text`, which must be valid JSON, has twice (escapes resolved), or undefined. */
function findDuplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  const colon = /[ \t\r\n]*:/y;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(undefined);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = stringEnd(text, i);
      colon.lastIndex = end;
      if (colon.test(text)) {
        const key = JSON.parse(text.slice(i, end)) as string;
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** The position after the string literal that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}
