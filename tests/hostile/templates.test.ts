import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/errors.ts";
import { ChatTemplate, ConversationError, type Message } from "../../src/text/chat.ts";
import { strftime } from "../../src/text/strftime.ts";

const hello: Message[] = [{ role: "user", content: "Hello" }];
const render = (source: string, messages = hello) =>
  new ChatTemplate(source, {}).render(messages, { addGenerationPrompt: true });

const loops = (depth: number, over: string) =>
  `${`{% for i in ${over} %}`.repeat(depth)}${"{% endfor %}".repeat(depth)}`;

describe("a template that would never end is stopped, with the reason", () => {
  test.each([
    ["a range beyond any conversation", "{% for i in range(10**9) %}x{% endfor %}", "more than 100000 items"],
    ["one that goes down", "{{ range(0, -(10**9), -1) | length }}", "more than 100000 items"],
    ["loops in loops", loops(3, "range(99999)"), "too many steps"],
    ["loops with a condition", loops(3, "range(99999) if true"), "too many steps"],
    ["loops over what is written", `{% set l = range(50000) %}${loops(4, "l")}`, "too many steps"],
    [
      "a text that doubles",
      "{% set n = namespace(t='ab') %}{% for i in range(64) %}{% set n.t = n.t + n.t %}{% endfor %}",
      "more than 67108864 characters|too many steps",
    ],
    [
      "a list that doubles",
      "{% set n = namespace(l=[1]) %}{% for i in range(64) %}{% set n.l = n.l + n.l %}{% endfor %}",
      "more than 100000 items",
    ],
    [
      "a macro that calls itself twice",
      "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
      "more than 300 levels deep",
    ],
    [
      "a macro that calls itself twice, not too deep",
      "{% macro f(n) %}{% if n < 40 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}",
      "too many steps",
    ],
  ])("%s", (_, source, reason) => {
    const start = performance.now();
    expect(() => render(source)).toThrow(new RegExp(`^the chat template refuses this conversation: .*(${reason})`));
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test("a source longer than any model's, or of white space, is no template", () => {
    const refused = "The model's chat template can't be parsed: it has";
    expect(() => new ChatTemplate("x".repeat(2 ** 17 + 1), {})).toThrow(
      new CheckpointError(`${refused} 131073 characters; at most 131072 are read`),
    );
    expect(() => new ChatTemplate(`{{ ${" ".repeat(1e5)} }}`, {}, "folder")).toThrow(
      /^folder: the chat template can't be parsed: it has more than 1000 characters of white space/,
    );
  });

  test("conditions nested deeper than the stack are refused", () => {
    const deep = `${"{% if true %}".repeat(20_000)}${"{% endif %}".repeat(20_000)}`;
    expect(() => render(deep)).toThrow(/^The model's chat template can't be parsed|^the chat template refuses/);
  });
});

describe("what conversations need is within the bounds", () => {
  test("a thousand turns of ten thousand characters, each looked up among the others", () => {
    const source =
      "{% for m in messages %}{% if loop.index0 and messages[loop.index0 - 1].role == m.role %}!{% endif %}" +
      "<{{ m['role'] | upper }}>{{ m.content | trim }}\n{% endfor %}";
    const messages = Array.from({ length: 1000 }, (_, i) => ({
      role: i % 2 ? "assistant" : "user",
      content: "a".repeat(1e4),
    }));
    expect(render(source, messages)).toHaveLength(1000 * 10_003 + 500 * "user".length + 500 * "assistant".length);
  });

  test("range as Python has it", () => {
    expect(
      render("{{ range(3) | list }}{{ range(1, 4) | list }}{{ range(5, 0, -2) | list }}{{ range(2, 2) | list }}"),
    ).toBe("[0, 1, 2][1, 2, 3][5, 3, 1][]");
  });
});

test("nothing of the program can be reached from a template", () => {
  const paths = [
    "messages.constructor",
    "messages[0].__proto__",
    "''.constructor.constructor('return process')()",
    "process",
    "globalThis",
  ];
  for (const path of paths) {
    let text = "";
    try {
      text = render(`{{ ${path} }}`);
    } catch (error) {
      expect(error).toBeInstanceOf(ConversationError);
    }
    expect(text, path).toBe("");
  }
});

test("dates are written as Python's C locale writes them", () => {
  const date = new Date(2024, 1, 5, 0, 7, 9);
  expect(strftime(date, "%A %a, %d %B (%b) %Y %y %m %H:%M:%S %I %p 100%% %Q")).toBe(
    "Monday Mon, 05 February (Feb) 2024 24 02 00:07:09 12 AM 100% %Q",
  );
});

test("whatever stands in it, a template is parsed and rendered or refused", () => {
  const piece = fc.constantFrom(
    ..."{{ }} {% %} {# #} {%- -%} for in if else elif endif endfor set endset macro endmacro call filter not and or is defined".split(
      " ",
    ),
    ..."messages m loop.index0 [0] ['role'] .content | ~ + - * / ** == ( ) , : range(10**9) 'x' \" 9e999 -1 none namespace() \\ \n".split(
      " ",
    ),
    ..."tojson join length first last replace('','y') split('') [::-1] [1:0:0] generation endgeneration raise_exception(1)".split(
      " ",
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 25 }), fc.constantFrom(" ", ""), (pieces, space) => {
      try {
        const template = new ChatTemplate(`{% for m in messages %}{{ m.role }}${pieces.join(space)}{% endfor %}`, {});
        template.generationPassages(hello);
        template.render(hello, { addGenerationPrompt: true });
      } catch (error) {
        expect((error as Error).name).toMatch(/^(CheckpointError|ConversationError)$/);
      }
    }),
    { numRuns: 300 },
  );
});
