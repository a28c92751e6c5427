/**
 * Optimizers over flat arrays, step for step as PyTorch computes them. Moments are float32; the arithmetic of one
 * element is done in double precision and rounded when stored.
 */

export interface Optimizer {
  /** The optimizer's memory by name, each as long as the parameters: what a checkpoint must keep. */
  readonly moments: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
  /** Updates parameters in place. `step` counts from 1; `gradientScale` multiplies every gradient first (clipping). */
  update(step: {
    parameters: Float32Array;
    gradients: Float32Array;
    learningRate: number;
    step: number;
    gradientScale: number;
  }): void;
}

interface OptimizerOptions {
  readonly size: number;
  readonly weightDecay: number;
}

/**
 * AdamW (Loshchilov and Hutter 2019), as torch.optim.AdamW: decay is decoupled from the gradient, both moments are
 * bias-corrected, epsilon is added to the corrected root.
 */
export function adamW({ size, weightDecay }: OptimizerOptions): Optimizer {
  const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];
  const first = new Float32Array(size);
  const second = new Float32Array(size);
  return {
    moments: { exp_avg: first, exp_avg_sq: second },
    update({ parameters, gradients, learningRate, step, gradientScale }) {
      const decay = 1 - learningRate * weightDecay;
      const stepSize = learningRate / (1 - beta1 ** step);
      const rootCorrection = Math.sqrt(1 - beta2 ** step);
      for (let i = 0; i < size; i++) {
        const g = gradients[i]! * gradientScale;
        const m = first[i]! * beta1 + g * (1 - beta1);
        const v = second[i]! * beta2 + g * g * (1 - beta2);
        first[i] = m;
        second[i] = v;
        parameters[i] = parameters[i]! * decay - (stepSize * m) / (Math.sqrt(v) / rootCorrection + epsilon);
      }
    },
  };
}

/** RMSprop as torch.optim.RMSprop with its defaults (the official DPO code's optimizer): decay is added to the gradient. */
export function rmsProp({ size, weightDecay }: OptimizerOptions): Optimizer {
  const [alpha, epsilon] = [0.99, 1e-8];
  const average = new Float32Array(size);
  return {
    moments: { square_avg: average },
    update({ parameters, gradients, learningRate, gradientScale }) {
      for (let i = 0; i < size; i++) {
        const g = gradients[i]! * gradientScale + weightDecay * parameters[i]!;
        const v = average[i]! * alpha + g * g * (1 - alpha);
        average[i] = v;
        parameters[i] = parameters[i]! - (learningRate * g) / (Math.sqrt(v) + epsilon);
      }
    },
  };
}

export const optimizers = { adamw: adamW, rmsprop: rmsProp } as const;
