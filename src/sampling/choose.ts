/**
 * The next token from its logits z [V]: the most probable one at temperature 0, else one drawn from softmax(z / temperature)
 * restricted to its nucleus (Holtzman et al. 2020, section 3.1), the smallest set of most probable tokens that together
 * have at least the probability `topP`. Sums and exponentials are in double precision.
 */

import type { Random } from "../random.ts";

export interface ChoiceOptions {
  /** 0 for the most probable token always. */
  readonly temperature: number;
  /** Probability that the nucleus holds, in (0, 1]; 1 for every token. */
  readonly topP: number;
}

type Logits = Float32Array | Float64Array;

/** Chooses a token id. Equally probable tokens rank by id, so greedy choice takes the lowest. */
export function chooseToken(logits: Logits, { temperature, topP }: ChoiceOptions, random: Random): number {
  const best = mostProbable(logits);
  if (temperature === 0) return best;
  // Plain loops: with callbacks a vocabulary of 50,000 takes 6 ms, a fifth of what the model itself takes.
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    weights[id] = Math.exp((logits[id]! - logits[best]!) / temperature);
    total += weights[id]!;
  }
  return topP < 1 ? drawFromNucleus(weights, total, topP * total, random) : draw(weights, total, random);
}

function mostProbable(logits: Logits): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/** An index, each as probable as its weight. */
function draw(weights: ArrayLike<number>, total: number, random: Random): number {
  let left = random.next() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! === 0) continue;
    last = i;
    left -= weights[i]!;
    if (left < 0) break;
  }
  return last;
}

/** Draws from the smallest set of largest weights whose sum reaches `mass`. */
function drawFromNucleus(weights: Float64Array, total: number, mass: number, random: Random): number {
  const ranked = candidates(weights, total, mass).sort((a, b) => weights[b]! - weights[a]! || a - b);
  let sum = 0;
  let size = 0;
  while (size < ranked.length && sum < mass) sum += weights[ranked[size++]!]!;
  const nucleus = ranked.slice(0, size);
  const kept = nucleus.map((id) => weights[id]!);
  return nucleus[draw(kept, sum, random)]!;
}

/**
 * The few tokens that can be in the nucleus, to spare sorting the vocabulary: those below (total - mass) / V have together
 * less than total - mass, so the others already reach the mass.
 */
function candidates(weights: Float64Array, total: number, mass: number): number[] {
  const floor = (total - mass) / weights.length;
  const found: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= floor) found.push(id);
  return found;
}
