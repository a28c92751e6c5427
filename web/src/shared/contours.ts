/**
 * Lines of equal height through a grid of values, by marching squares: in every cell the line enters and leaves through the
 * edges whose ends are on different sides of the level, at the place where a straight line between the ends crosses it.
 * Where all four edges are crossed, the mean of the corners says which pairs of them belong together.
 */

export type Point = readonly [x: number, y: number];

/** Values at whole places (x, y), row by row: `values[y * columns + x]`. */
export interface Grid {
  readonly values: ArrayLike<number>;
  readonly columns: number;
  readonly rows: number;
}

/** Lines, in the grid's coordinates, along which its values are `level`. A closed line ends where it began. */
export function contours({ values, columns, rows }: Grid, level: number): Point[][] {
  const segments: [string, string][] = [];
  const places = new Map<string, Point>();
  const at = (x: number, y: number) => values[y * columns + x]!;

  /** The crossing of the edge from (x, y) to its right or lower neighbour: both cells beside it find the same one. */
  function crossing(x: number, y: number, down: boolean): string {
    const key = `${x},${y},${down}`;
    if (!places.has(key)) {
      const [from, to] = [at(x, y), down ? at(x, y + 1) : at(x + 1, y)];
      const part = (level - from) / (to - from);
      places.set(key, down ? [x, y + part] : [x + part, y]);
    }
    return key;
  }

  for (let y = 0; y < rows - 1; y++) {
    for (let x = 0; x < columns - 1; x++) {
      const corners = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      if (!corners.every(Number.isFinite)) continue;
      const [a, b, c, d] = corners.map((value) => value >= level);
      const top = a !== b && crossing(x, y, false);
      const right = b !== c && crossing(x + 1, y, true);
      const bottom = d !== c && crossing(x, y + 1, false);
      const left = a !== d && crossing(x, y, true);
      if (top && right && bottom && left) {
        const middle = corners.reduce((sum, value) => sum + value, 0) / 4 >= level;
        // The middle is on the same side as corner a: the lines cut off b and d.
        if (middle === a) segments.push([top, right], [bottom, left]);
        else segments.push([top, left], [bottom, right]);
        continue;
      }
      const [from, to] = [top, right, bottom, left].filter((edge) => edge !== false);
      if (from && to) segments.push([from, to]);
    }
  }
  return joined(segments).map((line) => line.map((key) => places.get(key)!));
}

/** Segments that share an end, one after another. */
function joined(segments: readonly (readonly [string, string])[]): string[][] {
  const meeting = new Map<string, number[]>();
  segments.forEach((ends, i) => {
    for (const end of ends) meeting.set(end, [...(meeting.get(end) ?? []), i]);
  });
  const used = new Set<number>();

  function follow(line: string[]): string[] {
    for (;;) {
      const end = line.at(-1)!;
      const next = meeting.get(end)!.find((i) => !used.has(i));
      if (next === undefined) return line;
      used.add(next);
      const [from, to] = segments[next]!;
      line.push(from === end ? to : from);
    }
  }

  const lines: string[][] = [];
  segments.forEach(([from, to], i) => {
    if (used.has(i)) return;
    used.add(i);
    const forwards = follow([from, to]);
    const backwards = follow([from]);
    lines.push([...backwards.reverse(), ...forwards.slice(1)]);
  });
  return lines;
}
