/** What is done with the bytes of rows. */

/** Whether the bytes begin with those of `magic`, by which kinds of files are told. */
export function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((code, i) => bytes[i] === code);
}

/** The pieces as one. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** White space as JSON has it, and the other control characters that editors take for some. */
export function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

/** Bytes that are no text of this encoding as characters, one a byte, for a message: the first thousand. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 1000));
}
