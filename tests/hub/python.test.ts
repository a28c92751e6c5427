/**
 * The cache is shared with huggingface_hub in Python: what one has fetched serves the other. Needs a Python that has it:
 * PREFTUNE_PYTHON=path/to/python npx vitest run tests/hub/python.test.ts
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeEach, describe, expect, test } from "vitest";
import { resolveDataset, resolveModel } from "../../src/hub/index.ts";
import { modelFiles, withHub } from "./support.ts";

const python = process.env.PREFTUNE_PYTHON;

describe.skipIf(python === undefined)("the cache, with huggingface_hub of PREFTUNE_PYTHON", () => {
  const setup = withHub();
  let commits: { model: string; data: string };

  beforeEach(() => {
    // Python follows redirects within a host even where it only asks for headers.
    setup.hub.storageHost = "localhost";
    commits = {
      model: setup.hub.commit("org/tiny", modelFiles),
      data: setup.hub.commit("datasets/org/films", { "data/train-00000-of-00001.jsonl": "{}\n".repeat(900) }),
    };
  });

  /** What a script prints as JSON. */
  async function run(script: string, environment: Record<string, string> = {}): Promise<unknown> {
    const hub = { HF_HOME: setup.home, HF_ENDPOINT: setup.hub.endpoint, HF_HUB_DISABLE_XET: "1" };
    const env = { ...process.env, ...hub, ...environment };
    const code = `import json\nfrom huggingface_hub import *\nprint(json.dumps(${script}))`;
    const { stdout } = await promisify(execFile)(python!, ["-c", code], { env });
    return JSON.parse(stdout);
  }

  test("serves Python what was fetched here", async () => {
    const model = await resolveModel("org/tiny", setup.options());
    const data = await resolveDataset("hf:org/films", "training", setup.options());
    const offline = { HF_HUB_OFFLINE: "1" };
    expect(await run('hf_hub_download("org/tiny", "model.safetensors")', offline)).toBe(
      `${model.path}/model.safetensors`,
    );
    const file = 'hf_hub_download("org/films", "data/train-00000-of-00001.jsonl", repo_type="dataset")';
    expect(await run(file, offline)).toBe(data.paths[0]);
    // Files of the same contents are one.
    const scan = "[[r.repo_id, r.nb_files, [list(v.refs) for v in r.revisions]] for r in scan_cache_dir().repos]";
    expect(await run(`sorted(${scan}) + [len(scan_cache_dir().warnings)]`)).toEqual([
      ["org/films", 1, [["main"]]],
      ["org/tiny", 5, [["main"]]],
      0,
    ]);
    setup.hub.log.length = 0;
    await run('snapshot_download("org/tiny", allow_patterns=["*.json", "model.safetensors"])');
    expect(setup.hub.filesAsked()).toEqual([]);
  });

  test("is used here as Python has filled it", async () => {
    const folder = await run('snapshot_download("org/tiny")');
    expect(await resolveModel("org/tiny", setup.options({ offline: true }))).toEqual({
      path: folder,
      reference: `hf:org/tiny@${commits.model}`,
    });
    setup.hub.log.length = 0;
    await resolveModel("org/tiny", setup.options());
    expect(setup.hub.filesAsked()).toEqual([]);
  });
});
