/**
 * Fields under other names: `prompt=question,chosen=best` takes the row's `question` for its `prompt` and `best` for `chosen`;
 * `prompt=input.text` looks into an object; `system=` takes nothing for it.
 */

import { ConfigError } from "../errors.ts";
import { asRow, type Row } from "./fields.ts";
import { excerpt, RowProblem } from "./problem.ts";

/** From each field to the column that holds it; an empty one for none. */
export type Columns = ReadonlyMap<string, string>;

/** Throws ConfigError for what is not `field=column`. */
export function parseColumns(list: readonly string[]): Columns {
  const columns = new Map<string, string>();
  for (const item of list) {
    const [, field, column] = /^\s*([^=\s]+)\s*=(.*)$/s.exec(item) ?? [];
    if (field === undefined) {
      throw new ConfigError(`--columns ${item} must be field=column, such as prompt=question,chosen=best.`);
    }
    if (columns.has(field)) throw new ConfigError(`--columns names the field ${field} twice.`);
    columns.set(field, column!.trim());
  }
  return columns;
}

/** The row with its fields under their names. Throws RowProblem where a column is missing. */
export function withColumns(value: unknown, columns: Columns): Row {
  const row = asRow(value);
  if (columns.size === 0) return row;
  const taken = new Set(columns.values());
  const rest = Object.entries(row).filter(([key]) => !taken.has(key) && !columns.has(key));
  const named = [...columns].map(([field, column]) => [field, column === "" ? null : columnOf(row, column)]);
  return Object.fromEntries([...rest, ...named]) as Row;
}

function columnOf(row: Row, column: string): unknown {
  const inside = (value: unknown, key: string) =>
    typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Row)[key] : undefined;
  const value = row[column] ?? column.split(".").reduce(inside, row as unknown);
  if (value != null) return value;
  throw new RowProblem(
    "missing or wrong field",
    `the column \`${column}\` of --columns is missing (the row has only ${excerpt(Object.keys(row).join(", "), 120)})`,
  );
}
