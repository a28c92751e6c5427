/** One row or more of every shape, with the fields that the data sets of that shape have. */

import { describe, expect, test } from "vitest";
import { assistant, examplesOf, orReason, pairIn, shapeNameOf, system, user } from "./rows.ts";

const asText = (question: string) => `\n\nHuman: ${question}\n\nAssistant:`;

describe("openai: preference fine-tuning", () => {
  const row = {
    input: { messages: [user("Hi")], tools: [], parallel_tool_calls: true },
    preferred_output: [assistant("Hello")],
    non_preferred_output: [assistant("What?")],
  };

  test("is a pair of answers to a conversation", () => {
    expect(shapeNameOf(row)).toBe("openai");
    expect(pairIn(row)).toEqual([[user("Hi")], [assistant("Hello")], [assistant("What?")]]);
  });

  test("brings its tools along", () => {
    const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
    const [example] = examplesOf("pairs", { ...row, input: { ...row.input, tools } });
    expect(example!.tools).toEqual(tools);
  });

  test("names what is missing", () => {
    expect(pairIn({ ...row, non_preferred_output: null })).toMatch("the field `non_preferred_output` is missing");
    expect(pairIn({ ...row, input: { tools: [] } })).toMatch("the field `messages` is missing");
  });
});

describe("shp: Stanford Human Preferences", () => {
  const row = {
    post_id: "himc90",
    domain: "askacademia_train",
    history: "How do I say no?",
    human_ref_A: "Say no.",
    human_ref_B: "Never answer.",
    labels: 0,
    score_A: 10,
    score_B: 25,
    score_ratio: 2.5,
  };

  test("prefers B where labels is 0, A where it is 1, in the official code's words", () => {
    expect(shapeNameOf(row)).toBe("shp");
    expect(pairIn(row)).toEqual([asText("How do I say no?"), " Never answer.", " Say no."]);
    expect(pairIn({ ...row, labels: 1 })).toEqual([asText("How do I say no?"), " Say no.", " Never answer."]);
    expect(pairIn(row, { chat: true })).toEqual(["How do I say no?", "Never answer.", "Say no."]);
  });

  test("leaves out pairs whose scores are nearer than 2 to 1", () => {
    expect(pairIn({ ...row, score_B: 19 })).toBe("weak preference: the scores are in a ratio of 1.90, below 2");
    expect(pairIn({ ...row, score_B: 20 })).toHaveLength(3);
    const { score_A, score_B, ...without } = row;
    expect(pairIn({ ...without, score_ratio: 1.2 })).toMatch(/^weak preference/);
  });

  test("refuses another label", () => {
    expect(pairIn({ ...row, labels: 2 })).toBe("missing or wrong field: the field `labels` is 2, not 1 (A) or 0 (B)");
  });
});

describe("stackexchange: answers with scores", () => {
  const row = {
    qid: 5,
    question: "<p>How do I <code>sort</code>?</p>\n",
    answers: [
      { answer_id: 1, author: "a", pm_score: 1, selected: false, text: "<p>Use &lt;sort&gt;.</p>" },
      {
        answer_id: 2,
        author: "b",
        pm_score: 4,
        selected: true,
        text: "<pre><code>sort(a)\n</code></pre><p>and</p>\n<ul><li>rest</li></ul>",
      },
      { answer_id: 3, author: "c", pm_score: 0, selected: false, text: "Don't." },
    ],
  };

  test("are pairs of the best and the worst, or all pairs of different scores, as text", () => {
    expect(shapeNameOf(row)).toBe("stackexchange");
    const best = " ```\nsort(a)\n```\n\nand\n\n- rest";
    expect(pairIn(row)).toEqual([asText("How do I `sort`?"), best, " Don't."]);
    const all = examplesOf("pairs", row, { pairs: "all" }).map(({ completions }) => completions);
    expect(all).toEqual([
      [best, " Use <sort>."],
      [best, " Don't."],
      [" Use <sort>.", " Don't."],
    ]);
  });

  test("are a ranking", () => {
    expect(examplesOf("ranked", row)[0]!.values).toEqual({ rank: [1, 2, 3] });
  });

  test("may be columns of one struct", () => {
    const answers = { text: row.answers.map(({ text }) => text), pm_score: [1, 4, 0], author: ["a", "b", "c"] };
    expect(pairIn({ ...row, answers })).toEqual(pairIn(row));
  });

  test("of one score prefer nothing", () => {
    const answers = row.answers.map((answer) => ({ ...answer, pm_score: 2 }));
    expect(pairIn({ ...row, answers })).toBe("no preference: all completions are tied");
    expect(pairIn({ ...row, answers: answers.slice(1, 2) })).toMatch("there are not two completions to compare");
  });
});

describe("ultrafeedback", () => {
  const completion = (response: string, ratings: string[], overall: number) => ({
    model: "m",
    principle: "helpfulness",
    response,
    annotations: Object.fromEntries(ratings.map((Rating, i) => [`aspect${i}`, { Rating, Rationale: "..." }])),
    overall_score: overall,
  });

  test("as published is ranked by the mean of its ratings, not by the overall score", () => {
    const row = {
      source: "sharegpt",
      instruction: "Say hi.",
      models: ["a", "b"],
      completions: [completion("Go away.", ["1", "2", "N/A"], 10), completion("Hi!", ["5", "4", "5"], 8)],
      correct_answers: ["None"],
    };
    expect(shapeNameOf(row)).toBe("ultrafeedback");
    expect(pairIn(row, { chat: true })).toEqual(["Say hi.", "Hi!", "Go away."]);
    const fine = row.completions.map((one, i) => ({ ...one, "fine-grained_score": 2 - i }));
    expect(pairIn({ ...row, completions: fine }, { chat: true })).toEqual(["Say hi.", "Go away.", "Hi!"]);
    const bare = row.completions.map(({ annotations, ...one }) => one);
    expect(pairIn({ ...row, completions: bare }, { chat: true })).toEqual(["Say hi.", "Go away.", "Hi!"]);
    expect(pairIn({ ...row, completions: [{ response: "a" }] })).toMatch("the field `completions[0]` has no score");
  });

  test("binarized has its prompt and scores beside two conversations", () => {
    const conversation = (answer: string) => [user("Say hi."), assistant(answer)];
    const row = {
      prompt: "Say hi.",
      prompt_id: "0",
      chosen: conversation("Hi!"),
      rejected: conversation("Go away."),
      messages: conversation("Hi!"),
      score_chosen: 8.5,
      score_rejected: 4,
    };
    expect(shapeNameOf(row)).toBe("preference");
    expect(pairIn(row)).toEqual([[user("Say hi.")], [assistant("Hi!")], [assistant("Go away.")]]);
    expect(examplesOf({ rows: "pairs", margin: "margin" }, row)[0]!.values).toEqual({ margin: 4.5 });
  });
});

describe("sharegpt: a ranking of two", () => {
  const row = {
    conversations: [
      { from: "human", value: "Hi" },
      { from: "gpt", value: "Hello" },
      { from: "human", value: "Bye" },
    ],
    chosen: { from: "gpt", value: "Ciao" },
    rejected: { from: "gpt", value: "No" },
  };
  const start = [user("Hi"), assistant("Hello"), user("Bye")];

  test("goes on from a conversation", () => {
    expect(shapeNameOf(row)).toBe("sharegpt");
    expect(pairIn(row)).toEqual([start, [assistant("Ciao")], [assistant("No")]]);
    expect(pairIn({ ...row, chosen: "Ciao", rejected: "No" })).toEqual(pairIn(row));
  });

  test("with a system message and tools in columns of their own", () => {
    const tools = '[{"name": "f", "description": "d", "parameters": {"type": "object"}}]';
    const [example] = examplesOf("pairs", { ...row, system: "Be kind.", tools });
    expect(example!.prompt).toEqual([system("Be kind."), ...start]);
    expect(example!.tools).toEqual([{ type: "function", function: JSON.parse(tools)[0] }]);
  });

  test("with calls of functions and what they return", () => {
    const conversations = [
      { from: "human", value: "2+2?" },
      { from: "function_call", value: '{"name": "add", "arguments": {"a": 2, "b": 2}}' },
      { from: "observation", value: "4" },
    ];
    expect(pairIn({ ...row, conversations })).toEqual([
      [
        user("2+2?"),
        {
          role: "assistant",
          content: "",
          tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 2, b: 2 } } }],
        },
        { role: "tool", content: "4" },
      ],
      [assistant("Ciao")],
      [assistant("No")],
    ]);
  });

  test("by its names of roles, or by others' in capitals, beside `content` too", () => {
    const said = (role: string, content: string) => ({ role, content });
    const messages = {
      prompt: [said("System", "Be kind."), said("human", "2+2?"), said("Observation", "4")],
      chosen: [said("gpt", "4")],
      rejected: [said("Assistant", "5")],
    };
    expect(pairIn(messages)).toEqual([
      [system("Be kind."), user("2+2?"), { role: "tool", content: "4" }],
      [assistant("4")],
      [assistant("5")],
    ]);
    expect(pairIn({ ...messages, prompt: [said("Narrator", "Once")] })[0]).toEqual([said("Narrator", "Once")]);
  });
});

describe("alpaca", () => {
  const row = { instruction: "Edit the sentence.", input: "he go", output: "He goes." };

  test("with chosen and rejected is a pair", () => {
    const pair = { ...row, chosen: "He goes, if you please.", rejected: "He goes. Obviously." };
    expect(shapeNameOf(pair)).toBe("alpaca");
    expect(pairIn(pair, { chat: true })).toEqual(["Edit the sentence.\nhe go", pair.chosen, pair.rejected]);
    expect(pairIn({ ...pair, input: "" })).toEqual([
      asText("Edit the sentence."),
      ` ${pair.chosen}`,
      ` ${pair.rejected}`,
    ]);
  });

  test("with an output of two is a pair, the better first", () => {
    expect(pairIn({ ...row, output: ["good", "bad"] }, { chat: true })).toEqual([
      "Edit the sentence.\nhe go",
      "good",
      "bad",
    ]);
    expect(pairIn({ ...row, output: ["good"] })).toMatch("is not a list of two texts");
  });

  test("with one output is learned as it is, and is no pair", () => {
    const [example] = examplesOf("texts", row, { chat: true });
    expect(example).toMatchObject({ prompt: "Edit the sentence.\nhe go", completions: ["He goes."] });
    expect(pairIn(row)).toBe(
      "missing or wrong field: the row holds one completion, and what is learned from here are completions that were compared; preftune sft learns from such rows",
    );
  });
});

describe("comparison", () => {
  const row = { prompt: "Q", response1: "A", response2: "B" };

  test.each([
    [{ ...row, preference: 1 }, ["Q", "A", "B"]],
    [{ ...row, preference: "2" }, ["Q", "B", "A"]],
    [{ ...row, winner: "response2" }, ["Q", "B", "A"]],
    [{ prompt: "Q", response_a: "A", response_b: "B", winner: "a" }, ["Q", "A", "B"]],
    [{ prompt: "Q", response_a: "A", response_b: "B", winner: "model_b" }, ["Q", "B", "A"]],
    [
      { prompt: "Q", response_0: "A", response_1: "B", better_response_id: 1, is_response_0_safe: true },
      ["Q", "B", "A"],
    ],
    [
      { id: 1, prompt: "Q", response_a: "A", response_b: "B", winner_model_a: 0, winner_model_b: 1, winner_tie: 0 },
      ["Q", "B", "A"],
    ],
    [{ question: "Q", answer_1: "A", answer_2: "B", winner: 1 }, [asText("Q"), " A", " B"]],
    [
      {
        conversation_a: [user("Q"), assistant("A")],
        conversation_b: [user("Q"), assistant("B")],
        winner: "model_a",
        turn: 1,
      },
      [[user("Q")], [assistant("A")], [assistant("B")]],
    ],
  ])("%j", (given, expected) => {
    expect(shapeNameOf(given)).toBe("comparison");
    expect(pairIn(given)).toEqual(expected);
  });

  test.each(["tie", "Tie", "tie (bothbad)", "both"])("that ends in a %s prefers nothing", (winner) => {
    expect(pairIn({ ...row, winner })).toBe("no preference: all completions are tied");
    expect(orReason(() => examplesOf("ranked", { ...row, winner }))).toBe("no preference: all completions are tied");
  });

  test.each([0, 3, "C", true])("refuses the verdict %j", (winner) => {
    expect(pairIn({ ...row, winner })).toBe(
      `missing or wrong field: the field \`winner\` is ${winner}, not 1 or 2, a or b, response1 or response2, or tie`,
    );
  });
});

describe("kto", () => {
  test("as CSV has it, labels and numbers being text", () => {
    const row = { prompt: "Q", completion: "A", label: "False" };
    expect(shapeNameOf(row)).toBe("kto");
    expect(examplesOf("labelled", row)[0]!.values).toEqual({ label: 0 });
    expect(examplesOf("labelled", { ...row, label: "1.0" })[0]!.values).toEqual({ label: 1 });
  });

  test("is nothing to compare", () => {
    expect(pairIn({ prompt: "Q", completion: "A", label: true })).toMatch(
      "the row holds one completion that is labelled",
    );
  });
});

test.each([
  [{ prompt: "Q", chosen: "A", rejected: "B" }, "preference"],
  [{ chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" }, "hh"],
  [{ prompt: "Q", ranked: ["A", "B"] }, "ranked"],
  [{ prompt: "Q", completions: ["A", "B"], scores: [1, 2] }, "ranked"],
  [{ prompt: "Q", completion: "A" }, "completion"],
  [{ messages: [] }, "conversation"],
  [{ conversations: [] }, "conversation"],
  [{ text: "T" }, "text"],
  [{ prompt: "Q" }, "prompt"],
  [{ question: "Q" }, undefined],
])("%j has the shape %s", (row, name) => {
  expect(shapeNameOf(row)).toBe(name);
});

describe("whatever the shape", () => {
  test("a ranking is labelled by its best and its worst", () => {
    const row = { prompt: "Q", completions: ["A", "B", "C"], scores: [2, 3, 1] };
    const labelled = examplesOf("labelled", row).map(({ completions, values }) => [completions[0], values!.label]);
    expect(labelled).toEqual([
      ["B", 1],
      ["C", 0],
    ]);
  });

  test("a system message stands before messages, once", () => {
    const row = { prompt: [user("Q")], chosen: "A", rejected: "B", system: "S" };
    expect(pairIn(row)).toEqual([[system("S"), user("Q")], [assistant("A")], [assistant("B")]]);
    expect(pairIn({ ...row, prompt: [system("S"), user("Q")] })).toEqual(pairIn(row));
    expect(pairIn({ ...row, prompt: [system("T"), user("Q")] })).toMatch("is another than the conversation's own");
    expect(pairIn({ ...row, system: "" })).toEqual([[user("Q")], [assistant("A")], [assistant("B")]]);
  });

  test("a system message makes messages of plain text that is to be chat, and has no place elsewhere", () => {
    const row = { prompt: "Q", chosen: "A", rejected: "B", system: "S" };
    expect(pairIn(row, { chat: true })).toEqual([[system("S"), user("Q")], [assistant("A")], [assistant("B")]]);
    expect(pairIn(row)).toBe(
      "missing or wrong field: the field `system` has no place before plain text: add --chat, or leave the column out with --columns system=",
    );
  });

  test("parts of text are one text, and other parts are refused", () => {
    const parts = (type: string) => [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type, text: "b" },
        ],
      },
    ];
    const row = { chosen: "A", rejected: "B" };
    expect(pairIn({ ...row, prompt: parts("text") })).toEqual([[user("ab")], [assistant("A")], [assistant("B")]]);
    expect(pairIn({ ...row, prompt: parts("image_url") })).toMatch(
      "the field `prompt[0].content[1]` is a part of type image_url: only text can be learned from",
    );
  });

  test("nulls that a table has put into tools are no arguments, those in JSON are", () => {
    const call = (given: unknown) => ({
      prompt: [user("Q")],
      chosen: [
        { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: given } }] },
      ],
      rejected: [assistant("B")],
    });
    const called = (given: unknown) => examplesOf("pairs", call(given))[0]!.completions[0];
    const message = (given: unknown) => [
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: given } }],
      },
    ];
    expect(called({ a: 1, b: null, c: { d: null, e: [null] } })).toEqual(message({ a: 1, c: { e: [null] } }));
    expect(called('{"a": null}')).toEqual(message({ a: null }));
    expect(called("not JSON")).toEqual(message("not JSON"));
  });
});
