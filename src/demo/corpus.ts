/**
 * What the embedded example trains on, written by the grammar from a seed: conversations for next-token training, half of
 * them positive and half negative; pairs that prefer the positive review; and questions to sample answers to.
 *
 * Films are split once (films.ts): a title that evaluation asks about is in no text to train on.
 */

import type { Message } from "../data/example.ts";
import { type Grammar, writeText } from "./expand.ts";
import { ACTORS, GENRES, type Split, titles } from "./films.ts";
import { ASPECTS, type Polarity, questions, reviews } from "./grammar.ts";
import { Random } from "./random.ts";

/** A row of a preference file in chat form. */
export interface PreferenceRow {
  readonly prompt: readonly Message[];
  readonly chosen: readonly Message[];
  readonly rejected: readonly Message[];
}

/** A question, and the rules that make a review an answer to it. */
interface Request {
  readonly question: string;
  readonly write: (polarity: Polarity) => string;
}

/** What a question is about; half of them are about the film as a whole. */
const TOPICS = ["general", "general", "aboutAspect", "aboutLead"] as const;

/** Reviews to choose from when a rejected one is sought that is as long as the chosen one. */
const CANDIDATES = 4;

/** `count` conversations of one question and one review about films of one split, positive and negative in turn. */
export function pretrainingConversations(seed: number, count: number, split: Split = "train"): Message[][] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => {
    const { question, write } = request(random, split);
    return [user(question), assistant(write(index % 2 === 0 ? "positive" : "negative"))];
  });
}

/** `count` pairs with different questions: a positive review is chosen, a negative one of about its length rejected. */
export function preferencePairs(seed: number, count: number, split: Split): PreferenceRow[] {
  const random = new Random(seed);
  return distinctRequests(random, count, split).map(({ question, write }) => {
    const chosen = write("positive");
    const distance = (review: string) => Math.abs(review.length - chosen.length);
    const candidates = Array.from({ length: CANDIDATES }, () => write("negative"));
    const rejected = candidates.reduce((best, review) => (distance(review) < distance(best) ? review : best));
    return { prompt: [user(question)], chosen: [assistant(chosen)], rejected: [assistant(rejected)] };
  });
}

/** `count` different questions about films of one split, each a conversation that waits for its answer. */
export function prompts(seed: number, count: number, split: Split = "held-out"): Message[][] {
  return distinctRequests(new Random(seed), count, split).map(({ question }) => [user(question)]);
}

function distinctRequests(random: Random, count: number, split: Split): Request[] {
  const requests = new Map<string, Request>();
  while (requests.size < count) {
    const next = request(random, split);
    requests.set(next.question, next);
  }
  return [...requests.values()];
}

/** A question about a film, and reviews that take up what it names: the title always, a genre, actor or aspect if it does. */
function request(random: Random, split: Split): Request {
  const topic = random.pick(TOPICS);
  const template = random.pick(questions[topic]!);
  const actor = random.pick(ACTORS);
  const aspect = random.pick(ASPECTS);
  const genre = random.pick(GENRES);
  const film: Grammar = {
    title: [random.pick(titles(split))],
    genre: [genre],
    lead: [actor.name],
    pronoun: [actor.pronoun],
    aspect: [aspect],
    kind: template.includes("{genre}") ? [genre, "film"] : ["film", "movie"],
    ...clauses(topic, aspect),
  };
  const start = topic === "general" ? "review" : "answer";
  return {
    question: writeText({ ...questions, ...film, question: [template] }, "question", random),
    write: (polarity) => writeText({ ...reviews[polarity], ...film }, start, random),
  };
}

/** The clause that answers the question, and those that may follow it. */
function clauses(topic: (typeof TOPICS)[number], aspect: string): Grammar {
  const asked = { general: "", aboutAspect: aspect, aboutLead: "acting" }[topic];
  return {
    asked: [topic === "aboutLead" ? "{performance}" : `{${asked}}`],
    clause: ASPECTS.filter((other) => other !== asked).map((other) => `{${other}}`),
  };
}

function user(content: string): Message {
  return { role: "user", content };
}

function assistant(content: string): Message {
  return { role: "assistant", content };
}
