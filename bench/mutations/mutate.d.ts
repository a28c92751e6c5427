export function randomFrom(seed: number): () => number;
export function mutated(bytes: Uint8Array, random: () => number, isText: boolean): Buffer;
