"""A study in a folder store as its steps make it: trainings with their lineage, and evaluations of every model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.shared.outputs.divergence import Divergence
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import AskedBenchmark, EvaluationFacts, Sample
from components.shared.scores import score_values
from components.shared.settings import Settings
from components.shared.step import Product
from tests.stand_in_outputs import stand_in_output

BASE = Parent(address="package:demo/student", digest="5" * 64)
PARAMETERS, ADAPTERS = 600_000, 12_000


@dataclass(frozen=True)
class StandInArm:
    """An arm: the true score at each of its rates, and what it is made of."""

    name: str
    stages: tuple[str, ...]
    scores: Mapping[str, float]
    start: str = ""
    lora_rank: int | None = None
    epochs: int = 3


ARMS = (
    StandInArm("sft@3", ("sft",), {"3e-4": 0.56, "1e-3": 0.60, "3e-3": 0.55}),
    StandInArm("sft@9", ("sft",), {"3e-4": 0.58, "1e-3": 0.625, "3e-3": 0.53}, epochs=9),
    StandInArm("sft@9-lora8", ("sft",), {"3e-4": 0.54, "1e-3": 0.58, "3e-3": 0.60}, lora_rank=8, epochs=9),
    StandInArm("sft@9-lora16", ("sft",), {"3e-4": 0.50, "1e-3": 0.55, "3e-3": 0.53}, lora_rank=16, epochs=9),
    StandInArm("dpo@6", ("dpo",), {"1e-5": 0.41, "3e-5": 0.43, "1e-4": 0.39}, epochs=6),
    StandInArm("sft@3-dpo@6", ("sft", "dpo"), {"1e-5": 0.60, "3e-5": 0.62, "1e-4": 0.56}, "sft@3"),
    StandInArm("sft@9-dpo@6", ("sft", "dpo"), {"1e-5": 0.64, "3e-5": 0.70, "1e-4": 0.66}, "sft@9", epochs=6),
)
CHOSEN = "1e-3"
"""The rate that later stages start from."""


@dataclass
class StandInStudy:
    """Writes trainings and evaluations.

    Attributes:
        root: the store's folder.
        questions: of the test part.
        seeds: of training.
        luck: standard deviation of a model's score over seeds.
    """

    root: str
    questions: int = 400
    seeds: Sequence[int] = (0, 1, 2)
    luck: float = 0.01
    evaluations: dict[str, Manifest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.library = Library(self.root)
        self._random = np.random.default_rng(11)
        self._models: dict[tuple[str, str, int], Manifest] = {}
        self._hard = {part: self._random.normal(0, 1, size) for part, size in self._sizes.items()}
        output = stand_in_output(self.root, "select", {"rows": 480}, {})
        output.write_bytes("rows", b"rows")
        self._dataset = output.finish()

    @property
    def _sizes(self) -> dict[str, int]:
        return {"validation": self.questions // 2, "test": self.questions}

    def settings(self, **changed: Any) -> dict[str, Any]:
        """The step's settings for this study."""
        arms = [
            {"name": a.name, "stages": a.stages, "rates": tuple(a.scores), "lora_rank": a.lora_rank, "does": ""}
            for a in ARMS
        ]
        given = {"arms": arms, "seeds": tuple(self.seeds), "benchmark": "demo", "forgetting": ("other",)}
        return given | {"resamples": 500, "title": "The demo's study", "matched": "steps × tokens"} | changed

    def write(self, *, skip: Sequence[str] = ()) -> dict[str, Manifest]:
        """All evaluations by their keys, but for those that failed."""
        for part in self._sizes:
            self.evaluate(f"base/-/-/{part}", BASE, 0.40, part)
        for arm in ARMS:
            for rate, score in arm.scores.items():
                for seed in self.seeds:
                    model = self.train(arm, rate, seed)
                    lucky = score + float(self._random.normal(0, self.luck))
                    self.evaluate(f"{arm.name}/{rate}/{seed}/validation", model, lucky, "validation")
                    if score == max(arm.scores.values()):
                        self.evaluate(f"{arm.name}/-/{seed}/test", model, lucky, "test")
        for key in skip:
            del self.evaluations[key]
        return self.evaluations

    def train(self, arm: StandInArm, rate: str, seed: int) -> Manifest:
        """One training, after those that it starts from."""
        start: Manifest | Parent = BASE
        if arm.start:
            start = self._models[arm.start, CHOSEN, seed]
        settings: dict[str, Any] = {
            "method": arm.stages[-1], "learning_rate": float(rate), "seed": seed, "global_batch": 16,
            "lora": {"rank": arm.lora_rank} if arm.lora_rank else {}, "epochs": 9 if arm.stages == ("sft",) else 6,
        }  # fmt: skip
        if arm.name == "sft@3":
            settings["stop_after_epochs"] = 3
        output = stand_in_output(self.root, "train", settings, {"dataset": self._dataset, "start": start})
        output.write_bytes("model/weights", f"{arm.name} {rate} {seed}".encode())
        steps = 30 * arm.epochs
        counts = {
            "steps": steps, "tokens": 40_000 * arm.epochs * (2 if arm.stages[-1] == "dpo" else 1),
            "parameters": PARAMETERS + (ADAPTERS if arm.lora_rank else 0),
            "parameters_trained": ADAPTERS if arm.lora_rank else PARAMETERS, "peak_memory_mib": 712,
            "peak_gpu_memory_mib": 0,
        }  # fmt: skip
        if arm.stages[-1] == "dpo":
            counts |= {"reference_rows": 480, "reference_rows_computed": 480 if rate == "1e-5" else 0}
        self._models[arm.name, rate, seed] = output.finish(counts, Cost(seconds=4.0 * arm.epochs))
        return self._models[arm.name, rate, seed]

    def evaluate(self, key: str, model: Manifest | Parent, score: float, part: str) -> Manifest:
        """The evaluation of a model with about this score on the primary benchmark, and less on another one."""
        output = Output(self.library, Product("evaluate", 6, "evaluation/1"), _Part(part=part), {"model": model})
        asked = [_asked("demo"), _asked("other")]
        output.write_json("evaluation.json", EvaluationFacts(benchmarks=tuple(asked)))
        scores = []
        for benchmark, value in (("demo", score), ("other", 0.3 - 0.1 * (score - 0.4))):
            answers = self._answers(value, part)
            scores.append(score_values(benchmark, "exact_match", answers))
            rows = (Sample(benchmark=benchmark, id=f"q{n}", outputs=("?",), scores=(a,)) for n, a in enumerate(answers))
            output.write_rows(f"samples/{benchmark}/00000", rows)
        output.write_json("scores.json", [each.model_dump() for each in scores])
        self.evaluations[key] = output.finish({"questions": 2 * self._sizes[part]})
        return self.evaluations[key]

    def diverge(self, key: str) -> Manifest:
        """Put a training that diverged at half of its steps in place of the one whose evaluation has this key."""
        name, rate, seed, _ = key.split("/")
        trained = self._models[name, rate, int(seed)]
        output = stand_in_output(self.root, "train", {**trained.settings, "diverges": True}, trained.parents)
        found = Divergence(training=output.address, step=46, problem="the loss of step 46 is nan")
        output.write_json("diverged.json", found)
        halved = {name: trained.counts[name] / 2 for name in ("steps", "tokens")}
        model = output.finish({**trained.counts, **halved, "diverged": 1}, Cost(seconds=1.0))
        self._leave_without_scores(key, model, found)
        return model

    def overflow(self, key: str) -> None:
        """Put an evaluation that found logits without a finite value in place of the one with this key."""
        model = self.evaluations[key].parents["model"]
        problem = "'mine' computes logits for token 1 of its answer to 'demo/q0' that are infinite or NaN"
        self._leave_without_scores(key, model, Divergence(training=model.address, step=None, problem=problem))

    def _leave_without_scores(self, key: str, model: Manifest | Parent, found: Divergence) -> None:
        product, part = Product("evaluate", 6, "evaluation/1"), key.rpartition("/")[2]
        evaluation = Output(self.library, product, _Part(part=f"{part} without scores"), {"model": model})
        evaluation.write_json("evaluation.json", EvaluationFacts(benchmarks=(_asked("demo"),), part=part))
        evaluation.write_json("diverged.json", found)
        self.evaluations[key] = evaluation.finish({"questions": 0, "diverged": 1})

    def _answers(self, share: float, part: str) -> list[float]:
        """Right for the share of questions that are easiest, each with noise of its own."""
        latent = self._hard[part] + self._random.normal(0, 0.8, self._sizes[part])
        limit = np.quantile(latent, share)
        return [float(value) for value in latent <= limit]


class _Part(Settings):
    part: str


def _asked(name: str) -> AskedBenchmark:
    return AskedBenchmark(
        name=name, metric="exact_match", protocol="the reply", few_shot=0, max_tokens=16, samples=1, temperature=0.0,
        top_p=1.0,
    )  # fmt: skip
