/** Which files of a dataset are which split: as Hugging Face's datasets has it. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configsIn, splitsOf } from "../../src/hub/dataset-files.ts";

interface Case {
  readonly name: string;
  readonly paths: readonly string[];
  readonly readme: string | null;
  readonly configs: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

/** Written by tests/reference/hub_dataset_files.py. */
const cases = JSON.parse(
  readFileSync(new URL("../golden/hub/dataset-files.json", import.meta.url), "utf8"),
) as readonly Case[];

describe("the splits of a dataset", () => {
  test.each(cases)("of $name", ({ paths, readme, configs: expected }) => {
    const found = configsIn(readme ?? "");
    const configs = found.length > 0 ? found : [{ name: "default", folder: "", patterns: undefined }];
    const splits = configs.map((config) => [config.name, Object.fromEntries(splitsOf(config, paths))]);
    expect(Object.fromEntries(splits)).toEqual(expected);
    for (const { name } of configs) {
      const order = [...splitsOf(configs.find((config) => config.name === name)!, paths).keys()];
      expect(order).toEqual(Object.keys(expected[name]!));
    }
  });

  test("of a README that machines can't read are told by names", () => {
    expect(configsIn("---\nconfigs: [\n---\n")).toEqual([]);
    expect(configsIn("---\nconfigs: all\n---\n")).toEqual([]);
    expect(configsIn("# No front matter\n---\nconfigs: []\n---\n")).toEqual([]);
    expect(configsIn("---\r\nconfigs:\r\n- config_name: a\r\n---\r\n")).toHaveLength(1);
  });
});
