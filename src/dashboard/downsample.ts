/**
 * Many values in few points, so that nothing that stands out is lost: each point has the least, the greatest and the mean of its
 * bucket. A bucket is 2^k rows that begin at a multiple of 2^k, so that those of a run that grows stay where they are.
 */

export interface Points {
  /** Where the last value of each bucket is: strictly increasing. */
  readonly x: number[];
  readonly mean: number[];
  readonly min: number[];
  readonly max: number[];
  /** Finite values in all buckets. */
  readonly count: number;
  /** Rows of a bucket. */
  readonly bucket: number;
}

/**
 * The rows [start, end) of `values` over `axis`, which never decreases, in at most `points` points. What is not finite is left
 * out; values at the same place of the axis share a point.
 */
export function downsample(
  axis: Float64Array,
  values: Float64Array,
  { start = 0, end = values.length, points }: { start?: number; end?: number; points: number },
): Points {
  const bucket = bucketSize(start, end, points);
  const out = { x: [] as number[], mean: [] as number[], min: [] as number[], max: [] as number[] };
  let [count, inBucket, current, sum] = [0, 0, -1, 0];
  for (let i = start; i < end; i++) {
    const [x, y] = [axis[i]!, values[i]!];
    if (!Number.isFinite(y) || !Number.isFinite(x)) continue;
    const index = Math.floor(i / bucket);
    const last = out.x.length - 1;
    if (last < 0 || (index !== current && x > out.x[last]!)) {
      out.x.push(x);
      out.mean.push(y);
      out.min.push(y);
      out.max.push(y);
      [current, inBucket, sum] = [index, 1, y];
    } else {
      inBucket++;
      sum += y;
      out.x[last] = x;
      if (y < out.min[last]!) out.min[last] = y;
      if (y > out.max[last]!) out.max[last] = y;
      // Rounding, or a sum beyond all numbers, must not put the mean outside.
      out.mean[last] = Math.min(Math.max(sum / inBucket, out.min[last]!), out.max[last]!);
    }
    count++;
  }
  return { ...out, count, bucket };
}

/** The least power of two that puts the rows into so many buckets. */
function bucketSize(start: number, end: number, points: number): number {
  let size = 1;
  while (Math.floor((end - 1) / size) - Math.floor(start / size) + 1 > points) size *= 2;
  return size;
}
