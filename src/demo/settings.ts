/** How the embedded example's model is tuned. */

export const demoSettings = {
  // All weights: an adapter large enough to turn so small a model costs it its spelling.
  tuning: "full",
  learningRate: 5e-4,
  beta: 0.4,
  batchSize: 16,
} as const;
