/** How names of things on the hub are written, and what is taken for a path of this machine. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { baseModelName, hubSettings } from "../../src/hub/index.ts";
import { formatReference, parseReference } from "../../src/hub/reference.ts";
import { respelled } from "../../src/hub/spelling.ts";

describe("a model's name", () => {
  test.each([
    ["HuggingFaceTB/SmolLM2-135M-Instruct", { name: "HuggingFaceTB/SmolLM2-135M-Instruct", revision: "main" }],
    ["org/name@v1.0", { name: "org/name", revision: "v1.0" }],
    ["hf:org/name", { name: "org/name", revision: "main" }],
    ["hf:org/name@refs/pr/1", { name: "org/name", revision: "refs/pr/1" }],
    ["hf:gpt2", { name: "gpt2", revision: "main" }],
    ["hf:org/name/model-Q8_0.gguf", { name: "org/name", revision: "main", file: "model-Q8_0.gguf" }],
    ["hf:org/name/q8/model.gguf@dev", { name: "org/name", revision: "dev", file: "q8/model.gguf" }],
  ])("%s", (text, expected) => {
    expect(parseReference(text, "model")).toEqual({ kind: "model", parts: [], ...expected });
  });

  test.each([
    "model",
    "./org/name",
    "../name",
    "~/name",
    "/org/name",
    "runs/first/model",
    "models/tiny.gguf",
    "a\\b",
    "org/na--me",
    "",
  ])("is not %j, which is a path", (text) => {
    expect(parseReference(text, "model")).toBeUndefined();
  });

  test("is not what is there on this machine", () => {
    expect(parseReference("tests/hub", "model")).toBeUndefined();
    expect(parseReference("tests/no-such-folder", "model")).toBeDefined();
  });

  test.each([
    "hf:org/na--me",
    "hf:-org/name",
    "hf:org/name.",
    "hf:org/name@",
    "hf:org/name/../x",
    "hf:org/name:train",
    "hf:",
    `hf:org/${"x".repeat(96)}`,
  ])("is not %s, and what is wrong with it is said", (text) => {
    let message = "";
    try {
      parseReference(text, "model");
    } catch (error) {
      message = String(error);
    }
    expect(message.replace(/x{9,}/g, "xxx")).toMatchSnapshot();
  });

  test.each([
    ["https://huggingface.co/org/name", "Write hf:org/name"],
    ["huggingface.co/org/name/", "Write hf:org/name"],
    ["hf:https://hf.co/org/name/tree/v2", "Write hf:org/name@v2"],
    ["https://huggingface.co/org/name/blob/main/q8/model.gguf?download=true", "Write hf:org/name/q8/model.gguf"],
    ["https://huggingface.co/datasets/org/name", "is the address of a dataset, and a model is wanted here"],
  ])("is not %s, an address", (text, message) => {
    expect(() => parseReference(text, "model")).toThrow(message);
  });

  test.each([
    ["hf:org/my model", "hf:org/my-model"],
    ["hf:org/na--me", "hf:org/na-me"],
    ["hf:org/name.git", "hf:org/name"],
    ["hf:/org/name", "hf:org/name"],
  ])("%s is told what it may have meant", (text, meant) => {
    expect(() => parseReference(text, "model")).toThrow(`(did you mean ${meant}?)`);
  });

  test("that is respelled keeps the rules", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab1-._ /é") }), (name) => {
        const meant = respelled(name);
        if (meant !== undefined) expect(parseReference(`hf:${meant}`, "model")?.name).toBe(meant);
      }),
    );
  });

  test("with its commit is read as the same again", () => {
    const part = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9]|[-._][A-Za-z0-9]){0,20}$/);
    const text = fc.tuple(part, part, fc.option(part), fc.constantFrom("", "@main", "@refs/pr/2"));
    fc.assert(
      fc.property(text, ([org, name, file, revision]) => {
        fc.pre(!name.endsWith(".git"));
        const before = parseReference(`hf:${org}/${name}${file ? `/${file}` : ""}${revision}`, "model")!;
        const commit = "0123456789".repeat(4);
        const after = parseReference(formatReference(before, commit), "model");
        expect(after).toEqual({ ...before, revision: commit });
      }),
    );
  });

  test("stands in model cards without prefix and revision, a path as it is", () => {
    expect(baseModelName("hf:org/name@0123")).toBe("org/name");
    expect(baseModelName("hf:org/name/file.gguf")).toBe("org/name");
    expect(baseModelName("models/file.gguf")).toBe("models/file.gguf");
  });
});

describe("a dataset's name", () => {
  test.each([
    ["hf:org/name", { revision: "main", parts: [] }],
    ["hf:org/name:train_prefs", { revision: "main", parts: ["train_prefs"] }],
    ["hf:org/name:default:test", { revision: "main", parts: ["default", "test"] }],
    ["hf:org/name@refs/convert/parquet:default:test", { revision: "refs/convert/parquet", parts: ["default", "test"] }],
    ["hf:org/name/data/pairs.jsonl", { revision: "main", parts: [], file: "data/pairs.jsonl" }],
  ])("%s", (text, expected) => {
    expect(parseReference(text, "dataset")).toEqual({ kind: "dataset", name: "org/name", ...expected });
  });

  test("has the prefix, for a file may be called anything", () => {
    expect(parseReference("org/name", "dataset")).toBeUndefined();
  });

  test("has two parts at most", () => {
    expect(() => parseReference("hf:org/name:a:b:c", "dataset")).toThrow(
      /is followed by :config, :split or :config:split/,
    );
  });
});

describe("the environment", () => {
  test("is read as Hugging Face's own libraries read it", () => {
    const { cache, tokenFile, ...rest } = hubSettings({ HOME: "/nowhere", HF_HOME: "/disk/hf", HF_TOKEN: " hf_abc\n" });
    expect({ cache, tokenFile }).toEqual({ cache: "/disk/hf/hub", tokenFile: "/disk/hf/token" });
    expect(rest).toEqual({
      endpoint: "https://huggingface.co",
      token: "hf_abc",
      offline: false,
      stallTimeout: 30_000,
      retryDelay: 500,
    });
    expect(hubSettings({ HF_HOME: "/disk/hf", HF_HUB_CACHE: "/other" }).cache).toBe("/other");
    expect(hubSettings({ XDG_CACHE_HOME: "/xdg" }).cache).toBe("/xdg/huggingface/hub");
    expect(hubSettings({ HF_ENDPOINT: "http://mirror:80/" }).endpoint).toBe("http://mirror:80");
    expect(() => hubSettings({ HF_ENDPOINT: "mirror" })).toThrow("HF_ENDPOINT is mirror: it must be an address");
    for (const endpoint of ["localhost:8080", "ftp://mirror"]) {
      expect(() => hubSettings({ HF_ENDPOINT: endpoint })).toThrow("it must be an address");
    }
    for (const token of ["hf_abc\u200b", "\u201chf_abc\u201d", "hf_a bc"]) {
      expect(() => hubSettings({ HF_TOKEN: token })).toThrow("HF_TOKEN: the token has characters that none has");
    }
    expect(hubSettings({ HF_HUB_OFFLINE: "yes" }).offline).toBe(true);
    expect(hubSettings({ HF_HUB_OFFLINE: "0" }).offline).toBe(false);
    expect(hubSettings({ HF_TOKEN_PATH: "tests/hub/no-token" }).token).toBeUndefined();
    expect(hubSettings({ HF_HUB_DOWNLOAD_TIMEOUT: "2.5" }).stallTimeout).toBe(2500);
  });
});
