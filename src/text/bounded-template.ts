/**
 * A Jinja template that ends. Templates come with models from anywhere, and one can loop for hours or write a text that fills the
 * memory; so every expression and statement that is evaluated costs a step, a long value costs more of them, and a template that has
 * used up its steps is stopped. Steps are counted and no clock is read: what renders here renders everywhere.
 *
 * The bound on lists is that of Jinja's own sandbox (MAX_RANGE), which transformers renders templates in. A single step can make a
 * text of V8's longest (2^29 characters) before its length is seen; nothing can make more.
 */

import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { strftime } from "./strftime.ts";

/** What is used of @huggingface/jinja's interpreter, whose own types don't resolve under Node's module rules. */
interface Engine {
  run(program: unknown): Value;
  /** Every statement and expression goes through here. */
  evaluate(statement: Statement | undefined, environment: unknown): Value;
}

interface Statement {
  readonly type: string;
}

interface Value {
  readonly value: unknown;
}

const Engine = Interpreter as new (environment: unknown) => Engine;

/** The templates of published models have some ten thousand characters. */
const MAX_SOURCE = 2 ** 17;
/** The parser's work for white space grows with the square of its length. */
const MAX_SPACE = 1000;
const endlessSpace = new RegExp(`\\s{${MAX_SPACE + 1}}`);
/** A conversation of a thousand turns takes some hundred thousand. */
const MAX_STEPS = 1_000_000;
const MAX_ITEMS = 100_000;
/** Far below what the stack holds, where the interpreter would take a name for unknown. */
const MAX_DEPTH = 300;
/** As many characters as a row of a file may have bytes. */
const MAX_CHARACTERS = 2 ** 26;
/** Characters or items that a step reads at once. */
const PER_STEP = 64;
/** How many steps more there are for every character of a conversation, so that it can be read 32 times. */
const STEPS_PER_CHARACTER = 0.5;
/** A turn of a loop makes ten values, whatever is in it. */
const STEPS_PER_TURN = 4;

/** What the template was about to do when it was stopped. */
class TooMuch extends Error {}

export class BoundedTemplate {
  private readonly template: Template;

  /** Throws what the parser throws, or an Error for a source that would take too long. */
  constructor(source: string) {
    if (source.length > MAX_SOURCE) {
      throw new TooMuch(`it has ${source.length} characters; at most ${MAX_SOURCE} are read`);
    }
    if (endlessSpace.test(source))
      throw new TooMuch(`it has more than ${MAX_SPACE} characters of white space in a row`);
    this.template = new Template(source);
  }

  /** The text. Throws what the template raises, or an Error that names the bound which it breaks. */
  render(variables: Readonly<Record<string, unknown>>): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...globals(), ...variables })) environment.set(name, value);
    const steps = MAX_STEPS + STEPS_PER_CHARACTER * characters(variables);
    return String(new BoundedInterpreter(environment, steps).run(this.template.parsed).value);
  }
}

/** What transformers gives to every template, besides the conversation. */
function globals(): Record<string, unknown> {
  const constants = { true: true, True: true, false: false, False: false, none: null, None: null };
  return {
    ...constants,
    range: boundedRange,
    strftime_now: (format: unknown) => strftime(new Date(), String(format)),
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
  };
}

class BoundedInterpreter extends Engine {
  private steps: number;
  private depth = 0;
  /** Expressions whose items a loop goes through, so that each costs a turn. */
  private readonly iterated = new WeakSet<object>();

  constructor(environment: unknown, steps: number) {
    super(environment);
    this.steps = steps;
  }

  override evaluate(statement: Statement | undefined, environment: unknown): Value {
    if (statement === undefined) return super.evaluate(statement, environment);
    if (statement.type === "For") this.iterated.add(iterableOf(statement));
    this.spend(1);
    const result = this.nested(() => super.evaluate(statement, environment));
    const { value } = result;
    if (typeof value === "string") {
      if (value.length > MAX_CHARACTERS) throw new TooMuch(`it writes more than ${MAX_CHARACTERS} characters`);
      this.spend(value.length / PER_STEP);
    } else if (Array.isArray(value) || value instanceof Map) {
      const length = value instanceof Map ? value.size : value.length;
      if (length > MAX_ITEMS) throw new TooMuch(`it makes a list of more than ${MAX_ITEMS} items`);
      this.spend(this.iterated.has(statement) ? STEPS_PER_TURN * length : length / PER_STEP);
    }
    return result;
  }

  private nested(evaluate: () => Value): Value {
    if (this.depth === MAX_DEPTH) throw new TooMuch(`it nests or calls itself more than ${MAX_DEPTH} levels deep`);
    this.depth++;
    try {
      return evaluate();
    } finally {
      this.depth--;
    }
  }

  private spend(steps: number): void {
    this.steps -= steps;
    if (this.steps < 0) throw new TooMuch("it takes too many steps, as if it would never end");
  }
}

/** What a loop goes through: `for x in iterable`, or the left side of `for x in iterable if ...`. */
function iterableOf(loop: Statement): object {
  const { iterable } = loop as Statement & { iterable: Statement & { lhs?: object } };
  return iterable.type === "SelectExpression" ? (iterable.lhs ?? iterable) : iterable;
}

function boundedRange(first: number, second?: number | null, by?: number | null): number[] {
  const [start, stop] = second == null ? [0, first] : [first, second];
  const step = by ?? 1;
  if (step === 0) throw new Error("range() step must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count > MAX_ITEMS) throw new TooMuch(`it makes a list of more than ${MAX_ITEMS} items`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

/** How many characters there are to be read in a conversation and its tools. */
function characters(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((sum: number, item) => sum + characters(item), 0);
}
