/** A folder to the hub: one commit, large files to storage first. */

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { pushFolder } from "../../src/hub/index.ts";
import { TOKEN } from "./server.ts";
import { randomBytes, withHub } from "./support.ts";

const setup = withHub();
const weights = randomBytes(5000, 1);
const sha256 = createHash("sha256").update(weights).digest("hex");
let folder: string;

beforeEach(() => {
  folder = join(setup.home, "adapter");
  mkdirSync(folder);
  writeFileSync(join(folder, "README.md"), "# Card");
  writeFileSync(join(folder, "adapter_config.json"), "{}");
  writeFileSync(join(folder, "adapter_model.safetensors"), weights);
});

const push = (repo: string, changes = {}, token: string | undefined = TOKEN) =>
  pushFolder({ repo, folder, title: "Add it", ...changes, ...setup.options({ token }) });
const refusalOf = async (pushed: Promise<unknown>) =>
  await pushed.then(
    () => "no refusal",
    (error) => String(error).replaceAll(setup.hub.endpoint, "HUB").replaceAll(setup.home, "HOME"),
  );

describe("a folder", () => {
  test("becomes a commit to a repository that is made for it", async () => {
    const { page, commit } = await push("me/tuned");
    expect(page).toBe(`${setup.hub.endpoint}/me/tuned`);
    expect(commit).toMatch(/^[0-9a-f]{40}$/);
    expect(setup.hub.accessOf("me/tuned")).toBe("open");
    expect(setup.hub.pushed).toEqual([
      {
        summary: "Add it",
        files: {
          "README.md": "# Card",
          "adapter_config.json": "{}",
          "adapter_model.safetensors": `sha256:${sha256}`,
        },
      },
    ]);
    expect(setup.hub.uploaded.get(sha256)!.equals(weights)).toBe(true);
    const total = 5000 + 6 + 2;
    expect(setup.events.at(-1)).toEqual({
      kind: "progress",
      direction: "upload",
      name: "me/tuned",
      files: 3,
      done: total,
      total,
    });
  });

  test("goes to a repository that is there, with texts of its caller, and to a private one", async () => {
    setup.hub.commit("me/tuned", { "README.md": "old" });
    await push("me/tuned", { texts: { "README.md": "new", "notes.md": "# Beside it" } });
    expect(setup.hub.pushed[0]!.files).toMatchObject({ "README.md": "new", "notes.md": "# Beside it" });
    expect(setup.events.at(-1)).toMatchObject({ files: 4, total: 5000 + 3 + 2 + 11 });
    await push("hf:me/hidden", { private: true });
    expect(setup.hub.accessOf("me/hidden")).toBe("private");
  });

  test("goes with the folders in it", async () => {
    mkdirSync(join(folder, "figures", "empty"), { recursive: true });
    writeFileSync(join(folder, "figures", "loss.svg"), "<svg/>");
    await push("me/tuned");
    expect(Object.keys(setup.hub.pushed[0]!.files).toSorted()).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "figures/loss.svg",
    ]);
    const done = setup.events.flatMap((event) => (event.kind === "progress" ? event.done : []));
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(setup.events.at(-1)).toMatchObject({ files: 4, total: 5000 + 6 + 2 + 6, done: 5000 + 6 + 2 + 6 });
  });

  test("is sent again where the hub is busy", async () => {
    setup.hub.fail(/create/, { status: 503 });
    setup.hub.fail(/preupload/, { status: 429, headers: { "retry-after": "0" } });
    setup.hub.fail(/commit/, { status: 500 });
    await push("me/tuned");
    expect(setup.hub.pushed).toHaveLength(1);
  });

  test("is refused with what to do", async () => {
    const refusals = [
      await refusalOf(push("tuned")),
      await refusalOf(push("me/tuned@main2")),
      await refusalOf(pushFolder({ repo: "me/tuned", folder, title: "", ...setup.options() })),
      await refusalOf(push("me/tuned", {}, "hf_wrong")),
      await refusalOf(push("others/tuned")),
      await refusalOf(
        pushFolder({ repo: "me/tuned", folder, title: "", ...setup.options({ token: TOKEN, offline: true }) }),
      ),
      await refusalOf(push("me/tuned", { texts: { "README.md": '---\nbase_model: "/home/me/model"\n---\n' } })),
    ];
    expect(refusals.join("\n\n")).toMatchInlineSnapshot(`
      "ConfigError: --repo tuned must be org/name: your account's or organization's name, and the model's.

      ConfigError: --repo me/tuned@main2 must be org/name: your account's or organization's name, and the model's.

      HubError: me/tuned: a token that may write is needed. Make one at HUB/settings/tokens, and give it by HF_TOKEN or in HOME/token.

      HubError: me/tuned: the hub does not know the token. Make another at HUB/settings/tokens, and give it by HF_TOKEN or in HOME/token.

      HubError: others/tuned: the token may not do that (You don't have the rights to create a model under this namespace). Make one that may at HUB/settings/tokens.

      HubError: me/tuned: can't be pushed to while HF_HUB_OFFLINE is set.

      HubError: me/tuned: the hub answered 400 ("base_model" must be a valid model id). Its page is HUB/me/tuned."
    `);
  });
});
