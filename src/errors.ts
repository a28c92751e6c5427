/**
 * The errors that preftune raises on purpose. Each message says what was wrong, where, and how to mend it; the command
 * line prints the message alone (no stack) and exits with a code other than 0. Anything else that is thrown is a defect.
 */

/** Base of every error that a user can cause and mend. */
export abstract class PreftuneError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(readable(message), options);
    this.name = new.target.name;
  }
}

/** What a message says of a file may be as long as the file: its middle goes, its place and its remedy stay. */
const LONGEST_MESSAGE = 8000;

function readable(message: string): string {
  if (message.length <= LONGEST_MESSAGE) return message;
  const half = LONGEST_MESSAGE / 2;
  return `${message.slice(0, half)} ... ${message.slice(-half)}`;
}

/** A flag, option or configuration value is missing, unknown or out of range. */
export class ConfigError extends PreftuneError {}

/** A checkpoint, adapter or tokenizer file can't be read, or holds something that is not supported. */
export class CheckpointError extends PreftuneError {}

/** A row of a preference or prompt file can't be read or used. */
export class DataError extends PreftuneError {}

/** A tensor program is wrong: shapes that do not fit, a missing input. Names the operation and where in the model it is. */
export class ShapeError extends PreftuneError {}

/** Training can't go on: a self-check failed, or a value became non-finite. */
export class TrainingError extends PreftuneError {}

/** A run directory is in the way, incomplete, or does not belong to the configuration. */
export class RunError extends PreftuneError {}

/** The hub does not have what was asked for, refuses it, or can't be reached. */
export class HubError extends PreftuneError {}
