/** Settings that several commands have under one heading of help, and what their values are called there. */

/** What rows of a file are. */
export const rowFlags = { format: "shape", columns: "names" } as const;

/** What is done with rows that are too long. */
export const lengthFlags = { maxLength: true, maxPromptLength: true, truncation: true } as const;
