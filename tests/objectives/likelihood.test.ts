import { it } from "vitest";
import { completionInputs, likelihood } from "../../src/objectives/index.ts";
import { gradients, reduceSum } from "../../src/tensor/index.ts";
import { arrayOf, evaluate, expectClose } from "../support/programs.ts";

it("likelihood is nats a token, each completion by its own length", async () => {
  const completions = completionInputs(likelihood());
  const { losses } = likelihood().build(completions);
  const [slope] = gradients(reduceSum(losses), [completions.policy]);
  const given = { policy: arrayOf([3], [-12, -3, 0]), lengths: arrayOf([3], [4, 1, 2]) };
  const results = await evaluate({ losses, slope: slope! }, given);
  expectClose(results.losses!, [3, 3, 0], 1e-15);
  expectClose(results.slope!, [-1 / 4, -1, -1 / 2], 1e-15);
});
