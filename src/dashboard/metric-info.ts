/** What the names of metrics.jsonl mean: which belong in one chart, over each other, and in which unit. docs/diagnostics.md explains them. */

import type { MetricInfo, MetricKind } from "./protocol.ts";

/** What lines have besides their metrics: axes, and where a moving reference stands. */
const NOT_METRICS: ReadonlySet<string> = new Set(["step", "time", "examples", "reference_step"]);

/** In the order of charts. A pattern's group is the label. */
const KINDS: readonly (readonly [MetricKind, unit: string, RegExp])[] = [
  ["loss", "", /^loss(.*)$/],
  ["margins", "", /^(?:rewards|(gap))\/margins(@.*)?$/],
  ["accuracies", "share", /^(?:rewards|(gap))\/accuracies(@.*)?$/],
  ["rewards", "", /^rewards\/(.*)$/],
  ["logps", "nats", /^logps\/(.*)$/],
  ["drift", "nats", /^drift\/(.*)$/],
  ["kl", "nats", /^kl(?:_(samples.*))?$/],
  ["lengths", "tokens", /^lengths\/(.*)$/],
  ["gradient-weights", "", /^gradient_weights\/(.*)$/],
  ["grad-norm", "", /^grad_norm$/],
  ["learning-rate", "", /^learning_rate$/],
  ["throughput", "1/s", /^(.*)_per_second$/],
  ["memory", "bytes", /^memory_bytes$/],
  ["samples", "", /^samples\/(.*)$/],
  ["loss", "", /^(.*)_loss$/],
  ["other", "", /^(.*)$/s],
];

/** The metrics among the names of training lines and of evaluation lines, in the order of charts. */
export function metricInfos(training: readonly string[], evaluation: readonly string[]): MetricInfo[] {
  const ofTraining = training.filter((name) => !NOT_METRICS.has(name));
  const ofEvaluation = evaluation.filter((name) => name.startsWith("eval_"));
  const infos = [...ofTraining, ...ofEvaluation].map(metricInfo);
  return infos.toSorted((a, b) => kindOrder(a.kind) - kindOrder(b.kind));
}

function metricInfo(name: string): MetricInfo {
  const evaluation = name.startsWith("eval_");
  const base = evaluation ? name.slice("eval_".length) : name;
  for (const [kind, unit, pattern] of KINDS) {
    const match = pattern.exec(base);
    if (match === null) continue;
    const label = match.slice(1).join("").replace(/^\//, "");
    return { name, kind, of: evaluation ? "evaluation" : "training", base, label, unit };
  }
  throw new Error(`${name}: the last pattern fits every name`);
}

function kindOrder(kind: MetricKind): number {
  return KINDS.findIndex(([other]) => other === kind);
}
