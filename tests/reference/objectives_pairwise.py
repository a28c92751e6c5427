"""Golden numbers for the objectives over pairs: losses, and their gradients by PyTorch's autograd in float64.

Writes tests/golden/objectives/pairwise.json. Under "summed" seven pairs by summed log-probabilities: for every setting each pair's loss, and the gradient
of the mean loss with respect to the policy's log-probabilities [chosen, rejected] of each pair. Then, under "tokens", four pairs by the
log-probabilities of their tokens, with gradients for each token: what LD-DPO needs.

Formulas are the papers', written as TRL 1.13 has them where it has them (trl/trainer/dpo_trainer.py); label smoothing of `sigmoid`, the shift of
`bco_pair`, DPO-positive, RPO and ODPO, which it lacks, are the papers'. The seven pairs are one optimizer step to objectives that sort, or
average over, a step.

    python tests/reference/objectives_pairwise.py
"""

import json
import math
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "pairwise.json"


def scores(ratios, setting):
    """f'(pi / pi_ref), by the log-ratio."""
    name, alpha = setting.get("fDivergence", "reverse_kl"), setting.get("fAlpha", 0.5)
    if name == "forward_kl":
        return 1 - torch.exp(-ratios)
    if name == "js_divergence":
        return math.log(2) + logsigmoid(ratios)
    if name == "alpha_divergence" and abs(alpha - 1) >= 1e-6:
        return (torch.exp((alpha - 1) * ratios) - 1) / (alpha - 1)
    return ratios


def smoothed(z, e):
    return -(1 - e) * logsigmoid(z) - e * logsigmoid(-z)


def unsorted(values, order):
    """values[i] goes to the place order[i]."""
    result = torch.empty_like(values)
    result[order] = values
    return result


def single(setting, policy, reference, lengths, margins, full_policy):
    """The loss of each pair: policy and reference [N, 2] summed log-probabilities as the loss sees them, `full_policy` those of all tokens."""
    loss, beta, e = setting["loss"], setting.get("beta", 0.1), setting.get("labelSmoothing", 0.0)
    if setting.get("referenceFree"):
        reference = torch.zeros_like(reference)
    ratios = policy - reference
    a, c = ratios[:, 0], ratios[:, 1]
    shaped = scores(ratios, setting)
    margin = shaped[:, 0] - shaped[:, 1]
    if "dpopLambda" in setting:
        margin = margin - setting["dpopLambda"] * torch.clamp(-a, min=0)
    z = beta * margin
    if "offsetAlpha" in setting:
        z = z - setting["offsetAlpha"] * (torch.log(margins) if setting.get("offsetScale") == "log" else margins)

    if loss == "sigmoid":
        result = smoothed(z, e)
    elif loss == "hinge":
        result = torch.relu(1 - z)
    elif loss == "ipo":
        averaged = shaped if setting.get("ipoSum") else shaped / lengths
        result = (averaged[:, 0] - averaged[:, 1] - 1 / (2 * beta)) ** 2
    elif loss == "robust":
        result = (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)
    elif loss == "exo_pair":
        e = setting.get("labelSmoothing", 1e-3)
        result = torch.sigmoid(z) * (logsigmoid(z) - math.log1p(-e)) + torch.sigmoid(-z) * (logsigmoid(-z) - math.log(e))
    elif loss == "nca_pair":
        result = -logsigmoid(beta * a) - 0.5 * logsigmoid(-beta * a) - 0.5 * logsigmoid(-beta * c)
    elif loss == "bco_pair":
        rewards = beta * ratios
        shift = rewards.detach().mean() if setting.get("rewardShift") else 0
        result = -logsigmoid(rewards[:, 0] - shift) - logsigmoid(-(rewards[:, 1] - shift))
    elif loss == "sppo_hard":
        result = (a - 0.5 / beta) ** 2 + (c + 0.5 / beta) ** 2
    elif loss == "aot":
        sorted_policy, order = torch.sort(policy[:, 0] - policy[:, 1])
        sorted_reference, _ = torch.sort(reference[:, 0] - reference[:, 1])
        result = unsorted(smoothed(beta * (sorted_policy - sorted_reference), e), order)
    elif loss == "aot_unpaired":
        sorted_chosen, order = torch.sort(a)
        sorted_rejected, _ = torch.sort(c)
        result = unsorted(smoothed(beta * (sorted_chosen - sorted_rejected), e), order)
    elif loss == "apo_zero":
        result = 1 - torch.sigmoid(beta * a) + torch.sigmoid(beta * c)
    elif loss == "apo_down":
        result = torch.sigmoid(beta * a) + 1 - torch.sigmoid(beta * (a - c))
    elif loss == "discopop":
        modulation = torch.sigmoid(z / setting.get("discopopTau", 0.05))
        result = -logsigmoid(z) * (1 - modulation) + torch.exp(-z) * modulation
    elif loss == "sigmoid_norm":
        result = smoothed(beta * ((shaped / lengths)[:, 0] - (shaped / lengths)[:, 1]), e)
    elif loss == "sft":
        # As each pair's share of the mean over all chosen tokens.
        result = -full_policy[:, 0] * len(lengths) / lengths[:, 0].sum()
    else:
        raise ValueError(loss)
    if "rpoAlpha" in setting:
        result = result - setting["rpoAlpha"] * full_policy[:, 0] / lengths[:, 0]
    return result


def losses(setting, *given):
    names = setting["loss"].split(",")
    weights = setting.get("lossWeights", [1.0] * len(names))
    return sum(weight * single({**setting, "loss": name}, *given) for name, weight in zip(names, weights, strict=True))


FORWARD, JS = {"fDivergence": "forward_kl"}, {"fDivergence": "js_divergence"}
ALPHA = {"fDivergence": "alpha_divergence", "fAlpha": 0.3}
SETTINGS = [
    {"loss": "sigmoid", "beta": 0.1},
    {"loss": "sigmoid", "beta": 0.5},
    {"loss": "sigmoid", "beta": 0.1, "labelSmoothing": 0.2},
    {"loss": "sigmoid", "beta": 0.1, "referenceFree": True},
    {"loss": "sigmoid", "rpoAlpha": 0.7},
    {"loss": "sigmoid", "dpopLambda": 5},
    {"loss": "sigmoid", "offsetAlpha": 0.4},
    {"loss": "sigmoid", "offsetAlpha": 0.8, "offsetScale": "log"},
    {"loss": "sigmoid", **FORWARD},
    {"loss": "sigmoid", **JS},
    {"loss": "sigmoid", **ALPHA},
    {"loss": "sigmoid", **ALPHA, "fAlpha": 0},
    {"loss": "sigmoid", **ALPHA, "fAlpha": 1},
    {"loss": "sigmoid", "beta": 0.3, "labelSmoothing": 0.1, "rpoAlpha": 0.2, "dpopLambda": 2, "offsetAlpha": 0.4, **JS},
    {"loss": "hinge", "beta": 0.1},
    {"loss": "hinge", "beta": 0.3, "dpopLambda": 0.5, "offsetAlpha": 0.4, **JS},
    {"loss": "ipo", "beta": 0.1, "ipoSum": False},
    {"loss": "ipo", "beta": 0.3, "ipoSum": True},
    {"loss": "ipo", "beta": 0.3, "ipoSum": False, "referenceFree": True},
    {"loss": "ipo", **ALPHA},
    {"loss": "robust", "labelSmoothing": 0.1},
    {"loss": "robust", "beta": 0.4},
    {"loss": "robust", "labelSmoothing": 0.3, "offsetAlpha": 1, **ALPHA},
    {"loss": "exo_pair"},
    {"loss": "exo_pair", "beta": 0.3, "labelSmoothing": 0.2, **JS},
    {"loss": "nca_pair"},
    {"loss": "nca_pair", "beta": 0.4, "rpoAlpha": 1},
    {"loss": "bco_pair"},
    {"loss": "bco_pair", "beta": 0.3, "rewardShift": True},
    {"loss": "sppo_hard"},
    {"loss": "sppo_hard", "beta": 0.02},
    {"loss": "aot"},
    {"loss": "aot", "beta": 0.3, "labelSmoothing": 0.1, "rpoAlpha": 0.5},
    {"loss": "aot", "referenceFree": True},
    {"loss": "aot_unpaired"},
    {"loss": "aot_unpaired", "beta": 0.3, "labelSmoothing": 0.1},
    {"loss": "apo_zero"},
    {"loss": "apo_down"},
    {"loss": "apo_down", "beta": 0.5, "referenceFree": True},
    {"loss": "discopop"},
    {"loss": "discopop", "beta": 0.05, "discopopTau": 0.5, **JS},
    {"loss": "sigmoid_norm", "beta": 2},
    {"loss": "sigmoid_norm", "beta": 2, "labelSmoothing": 0.1, **FORWARD},
    {"loss": "sft"},
    {"loss": "sigmoid,bco_pair,sft", "lossWeights": [0.8, 0.2, 1.0]},
    {"loss": "sigmoid,exo_pair", "lossWeights": [1.0, 0.5], **JS},
]
TOKEN_SETTINGS = [
    {"loss": "sigmoid", "ldAlpha": 0.5},
    {"loss": "sigmoid", "ldAlpha": 0, "rpoAlpha": 0.5},
    {"loss": "ipo", "ldAlpha": 0.3},
    {"loss": "nca_pair", "ldAlpha": 0.3, "referenceFree": True},
    {"loss": "bco_pair", "ldAlpha": 0.3, "rewardShift": True, "beta": 0.5},
    {"loss": "aot", "ldAlpha": 0.3, "beta": 0.5},
    {"loss": "aot_unpaired", "ldAlpha": 0.3, "beta": 0.5},
    {"loss": "sigmoid,sft", "ldAlpha": 0.3},
]


def desensitized(tokens, alpha):
    """[chosen, rejected] of each pair: the sum, with what is beyond the shorter completion's length weighted."""
    rows = []
    for chosen, rejected in tokens:
        shared = min(len(chosen), len(rejected))
        rows.append(torch.stack([side[:shared].sum() + alpha * side[shared:].sum() for side in (chosen, rejected)]))
    return torch.stack(rows)


def summed_pairs():
    generator = torch.Generator().manual_seed(7)
    policy = -60 * torch.rand(7, 2, generator=generator, dtype=torch.float64)
    reference = policy + 4 * torch.randn(7, 2, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, 40, (7, 2), generator=generator).double()
    margins = 0.1 + 2 * torch.rand(7, generator=generator, dtype=torch.float64)
    results = []
    for setting in SETTINGS:
        variable = policy.clone().requires_grad_()
        each = losses(setting, variable, reference, lengths, margins, variable)
        each.mean().backward()
        results.append({"setting": setting, "losses": each.tolist(), "gradient": variable.grad.tolist()})
    given = {"policy": policy, "reference": reference, "lengths": lengths, "margins": margins}
    return {**{name: values.tolist() for name, values in given.items()}, "results": results}


def token_pairs():
    generator = torch.Generator().manual_seed(11)
    # Multiples of 2^-12, so that a context that gets them as float32 gets the same numbers.
    draw = lambda n: -torch.randint(1, 3 * 2**12, (n,), generator=generator).double() / 2**12
    sizes = [(3, 5), (4, 2), (1, 6), (5, 5)]
    policy = [[draw(n) for n in pair] for pair in sizes]
    reference = [[draw(n) for n in pair] for pair in sizes]
    lengths = torch.tensor(sizes).double()
    results = []
    for setting in TOKEN_SETTINGS:
        variables = [[side.clone().requires_grad_() for side in pair] for pair in policy]
        alpha = setting["ldAlpha"]
        seen = (desensitized(variables, alpha), desensitized(reference, alpha))
        each = losses(setting, *seen, lengths, None, desensitized(variables, 1))
        each.mean().backward()
        gradient = [[(torch.zeros_like(side) if side.grad is None else side.grad).tolist() for side in pair] for pair in variables]
        results.append({"setting": setting, "losses": each.tolist(), "gradient": gradient})
    lists = lambda tokens: [[side.tolist() for side in pair] for pair in tokens]
    return {"policy": lists(policy), "reference": lists(reference), "results": results}


def dumped(value):
    """A line an entry, so that differences show."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in value.items() if name != "results"]
    results = ",\n".join(json.dumps(result) for result in value["results"])
    return "{" + ",\n".join([*lines, f'"results": [\n{results}\n]']) + "}"


def main() -> None:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(f'{{"summed": {dumped(summed_pairs())},\n"tokens": {dumped(token_pairs())}}}\n')


if __name__ == "__main__":
    main()
