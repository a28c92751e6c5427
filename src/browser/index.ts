/**
 * Preference tuning in a browser, by the same code as the command line: nothing here needs Node. In a worker, since each step
 * takes the thread that it runs on:
 *
 *     const runtime = await webRuntime({ files: "engine/" });      // engineFiles.wasm, copied from onnxruntime-web/dist
 *     runtime.engine                                               // { device: "wasm", threads: 2, version: "1.30.0" }
 *     const model = await fetchModel("film-reviews/model/");       // config.json, tokenizer.json, model.safetensors ... by name
 *     await using tuning = await Tuning.open({ model, train: { name, text }, heldOut: { name, text }, runtime });
 *
 *     while (tuning.step < tuning.steps) {
 *       const metrics = await tuning.next();       // loss, rewards/margins, rewards/accuracies, kl, grad_norm, examples_per_second ...
 *     }
 *     await tuning.evaluate();                     // eval_loss, eval_rewards/accuracies, eval_kl ... of the held-out rows
 *     const [sample] = await tuning.sample();      // greedy answers of policy and reference, of a line of samples.jsonl's form
 *     const { text, policy, reference } = sample.policy_tokens;    // a token's implicit reward: beta (policy[i] - reference[i])
 *     tuning.config.objective.beta;                // every setting, with the defaults filled in
 *
 * Without `settings` it is the embedded demo's run (demo/settings.ts): all weights, learning rate 5e-4, beta 0.4, batches of 16.
 * With them it takes those of `preftune dpo`: `loss`, `loraRank`, `epochs`, `maxSteps`, `seed`, ... To begin again, dispose of the
 * session and open another. `onStage` tells what opening is at. Errors that the user can mend are PreftuneErrors.
 */

export type { Content, Message } from "../data/example.ts";
export { demoSettings } from "../demo/settings.ts";
export { PreftuneError } from "../errors.ts";
export type { Runtime } from "../runtime/runtime.ts";
export {
  engineFiles,
  type WebDevice,
  type WebEngine,
  type WebRuntime,
  type WebRuntimeOptions,
  webRuntime,
} from "../runtime/web.ts";
export { webGpuAdapter } from "../runtime/web-gpu.ts";
export type { TrainingConfig } from "../training/config.ts";
export type { Metrics, Sample } from "../training/observer.ts";
export { fetchModel } from "./fetch.ts";
export { type Rows, Tuning, type TuningOptions, type TuningSettings } from "./tuning.ts";
