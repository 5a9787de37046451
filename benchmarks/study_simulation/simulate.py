"""Simulated studies whose truth is known, in closed form.

A question has a difficulty that all arms share, and one for each arm; a trained model has its seed's luck; and an
answer has noise of its own. It is right where their sum is positive:

    right = bias + difficulty[q] + difficulty[arm, q] + luck[arm, rate, seed] + noise > 0,

all normal, the noise with variance 1. So an arm's share of right answers over all questions and seeds is
Phi(bias / sqrt(1 + the other variances)), and the bias is chosen for a wanted share.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.analyse.statistics.variance import Table

SHARED_DIFFICULTY, OWN_DIFFICULTY = 1.0, 0.5
"""Standard deviations, beside an answer's noise of 1: pairs of arms agree on about 70 % of the questions."""
BASE = 0.50
BETTER, EQUAL = "better", "equal"
TRUTHS: Mapping[str, tuple[float, float, float]] = {
    "nothing": (0.50, 0.50, 0.50),
    "single": (0.60, 0.60, 0.60),
    "single-lora": (0.57, 0.59, 0.55),
    BETTER: (0.65, 0.65, 0.65),
    EQUAL: (0.60, 0.60, 0.60),
    "equal-lora": (0.60, 0.59, 0.56),
}
"""The true share of right answers of each arm at three rates. `nothing` equals the base, `equal` equals the best
single-stage arm, `better` is better by 5 points."""
SINGLE_STAGE = ("nothing", "single", "single-lora")
SECOND_STAGE = (BETTER, EQUAL, "equal-lora")


@dataclass(frozen=True)
class Design:
    """The size of the simulated studies.

    Attributes:
        seeds: of every arm.
        questions: of the test part.
        validation: questions of the validation part.
        luck: standard deviation of an arm's share over seeds, in points.
    """

    seeds: int
    questions: int
    luck: float
    validation: int = 200


@dataclass(frozen=True)
class SimulatedArm:
    """An arm at the rate that validation chose.

    Attributes:
        truth: its share of right answers over all questions and seeds.
        validation: its mean there.
        test: shape (seeds, questions).
    """

    truth: float
    validation: float
    test: Table


def simulate(design: Design, random: np.random.Generator) -> tuple[Table, dict[str, SimulatedArm]]:
    """One study: the base's answers, shape (1, questions), and every arm at its chosen rate."""
    total = design.validation + design.questions
    shared = random.normal(0, SHARED_DIFFICULTY, total)
    base = _answers(BASE, 1, shared, random, luck=0.0, own=0.0)[:, design.validation :]
    return base, {name: _arm(rates, design, shared, random) for name, rates in TRUTHS.items()}


def _arm(rates: tuple[float, ...], design: Design, shared: np.ndarray, random: np.random.Generator) -> SimulatedArm:
    own = shared + random.normal(0, OWN_DIFFICULTY, shared.size)
    tried = []
    for share in rates:
        answers = _answers(share, design.seeds, own, random, luck=design.luck, own=OWN_DIFFICULTY)
        validation, test = answers[:, : design.validation], answers[:, design.validation :]
        tried.append(SimulatedArm(share, float(validation.mean()), test))
    # The first of equal ones, as the smaller rate wins.
    return max(tried, key=lambda arm: arm.validation)


def _answers(
    share: float, seeds: int, difficulty: np.ndarray, random: np.random.Generator, *, luck: float, own: float
) -> Table:
    """0/1 scores, shape (seeds, questions), with a mean of `share` over seeds and questions."""
    from scipy.special import ndtri

    middle = float(ndtri(share))
    others = SHARED_DIFFICULTY**2 + own**2
    # Points of a share to units of the latent scale, where the share is a normal probability.
    density = math.exp(-(middle**2) / 2) / math.sqrt(2 * math.pi)
    of_seed = luck / 100 / density * math.sqrt(1 + others)
    bias = middle * math.sqrt(1 + others + of_seed**2)
    latent = bias + difficulty + random.normal(0, of_seed, (seeds, 1)) + random.normal(0, 1, (seeds, difficulty.size))
    right: Table = (latent > 0).astype(float)
    return right
