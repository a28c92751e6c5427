/** The card of an exported model: that of the run, with what has become of its result. */

import { expect, test } from "vitest";
import { exportedCard } from "../../src/export/card.ts";

const RUN = "---\nlibrary_name: peft\n---\n\n# Adapter tuned on preferences\n\nTuned.\n";
const MERGE = { largest: 0.000012345, tokens: 500 };

test("an adapter's card calls what it is merged into a model, and says how the merge was checked", () => {
  const details = { model: "org/base", adapter: "runs/first/adapter", card: RUN, format: "onnx", dtype: "f16" };
  expect(exportedCard({ ...details, merge: MERGE })).toMatchInlineSnapshot(`
    "---
    library_name: transformers.js
    ---

    # Model tuned on preferences

    Tuned.

    ## Export

    The adapter was merged in float32. On 500 tokens of probe texts the merged model's log-probabilities differ from those of base and adapter by at most 0.000012 nats.

    \`\`\`sh
    preftune export --model org/base --adapter runs/first/adapter --format onnx --dtype f16 --output FOLDER
    \`\`\`
    "
  `);
});
