"""The evaluations of a study by arm, rate, seed and part, and those that are missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from components.analyse.settings import BASE, AnalysedArm, AnalyseSettings
from components.analyse.statistics.variance import Table
from components.shared.errors import InputError
from components.shared.outputs.compared_model import ComparedModel, require_evaluation, require_same_questions
from components.shared.outputs.divergence import has_diverged
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest

Part = Literal["validation", "test"]
PARTS: tuple[Part, ...] = ("validation", "test")
NONE = "-"
"""In a key: the base has no rate and no seed, and a test evaluation may leave its rate, the chosen one, out."""


@dataclass(frozen=True, order=True)
class RunKey:
    """Which evaluation: ARM/RATE/SEED/PART."""

    arm: str
    rate: str
    seed: str
    part: str

    @classmethod
    def parse(cls, text: str) -> "RunKey":
        """Read a key. Raises InputError."""
        pieces = text.split("/")
        if len(pieces) != 4 or pieces[3] not in PARTS:
            raise InputError(
                f"{text!r} is not the key of an evaluation",
                rule="evaluations of a study are named ARM/RATE/SEED/PART",
                allowed=["sft/1e-4/0/validation", "sft/-/0/test", f"{BASE}/-/-/test"],
                remedy="correct the key",
            )
        return cls(*pieces)

    def __str__(self) -> str:
        return f"{self.arm}/{self.rate}/{self.seed}/{self.part}"


class StudyRuns:
    """The evaluations that are there, those without scores, of trainings that diverged, apart.

    Args:
        library: where they are stored.
        settings: which arms, rates and seeds there should be.
        evaluations: by their keys.

    Raises:
        InputError: a key that the settings do not foresee, an input that is not an evaluation, or no test of the base.
    """

    def __init__(self, library: Library, settings: AnalyseSettings, evaluations: Mapping[str, Manifest]) -> None:
        self.settings = settings
        self._models: dict[RunKey, ComparedModel] = {}
        self._diverged: dict[RunKey, ComparedModel] = {}
        for text, manifest in sorted(evaluations.items()):
            key = RunKey.parse(text)
            self._require_known(key)
            require_evaluation(text, manifest, may_have_diverged=key.arm != BASE)
            found = self._diverged if has_diverged(manifest) else self._models
            found[key] = ComparedModel(library, text, manifest)
        self._require_alike()

    @cached_property
    def base(self) -> ComparedModel:
        """The base on the test part."""
        return self._models[RunKey(BASE, NONE, NONE, "test")]

    @property
    def base_validation(self) -> ComparedModel | None:
        """The base on the validation part, if it was evaluated."""
        return self._models.get(RunKey(BASE, NONE, NONE, "validation"))

    def validation(self, arm: AnalysedArm, rate: str) -> dict[int, ComparedModel]:
        """An arm at one rate on the validation part, by seed; without the seeds that diverged."""
        keys = {seed: RunKey(arm.name, rate, str(seed), "validation") for seed in self.settings.seeds}
        return {seed: self._models[key] for seed, key in keys.items() if key in self._models}

    def diverged(self, arm: AnalysedArm, rate: str) -> tuple[int, ...]:
        """The seeds with which an arm's training diverged at one rate: its model is missing, or computes NaN."""
        keys = {seed: RunKey(arm.name, rate, str(seed), "validation") for seed in self.settings.seeds}
        return tuple(seed for seed, key in keys.items() if key in self._diverged)

    def diverged_on_test(self, arm: AnalysedArm) -> tuple[int, ...]:
        """The seeds whose chosen model answered the validation part, and has logits that are not finite on test."""
        seeds = {int(key.seed) for key in self._diverged if (key.arm, key.part) == (arm.name, "test")}
        return tuple(seed for seed in self.settings.seeds if seed in seeds)

    def test(self, arm: AnalysedArm) -> dict[int, ComparedModel]:
        """An arm at its chosen rate on the test part, by seed; none where one diverged, which others would hide.

        Raises InputError when a seed has two of them.
        """
        if self.diverged_on_test(arm):
            return {}
        found: dict[int, ComparedModel] = {}
        for key, model in self._of(arm, "test"):
            if int(key.seed) in found:
                raise InputError(
                    f"{key} and {found[int(key.seed)].name} are both tests of one arm and seed",
                    rule="only the model at the rate that validation chose is tested",
                    remedy="pass one of them",
                )
            found[int(key.seed)] = model
        return {seed: found[seed] for seed in self.settings.seeds if seed in found}

    def rate_in_key(self, arm: AnalysedArm) -> str | None:
        """The rate that the keys of an arm's tests name, if they name one."""
        return next((key.rate for key, _ in self._of(arm, "test") if key.rate != NONE), None)

    def missing(self, arm: str) -> tuple[str, ...]:
        """The keys of an arm (or of the base) that the settings foresee and that are not there."""
        found = {self._without_rate(key) for key in (*self._models, *self._diverged)}
        return tuple(str(key) for key in self._foreseen() if key.arm == arm and self._without_rate(key) not in found)

    @property
    def all_models(self) -> list[ComparedModel]:
        """Every evaluation, of trainings that diverged too: they cost something."""
        return [*self._models.values(), *self._diverged.values()]

    def _of(self, arm: AnalysedArm, part: Part) -> Iterator[tuple[RunKey, ComparedModel]]:
        return ((key, model) for key, model in self._models.items() if (key.arm, key.part) == (arm.name, part))

    def _foreseen(self) -> Iterator[RunKey]:
        yield from (RunKey(BASE, NONE, NONE, part) for part in PARTS)
        for arm in self.settings.arms:
            for seed in self.settings.seeds:
                yield from (RunKey(arm.name, rate, str(seed), "validation") for rate in arm.rates)
                yield RunKey(arm.name, NONE, str(seed), "test")

    @staticmethod
    def _without_rate(key: RunKey) -> RunKey:
        return RunKey(key.arm, NONE, key.seed, key.part) if key.part == "test" else key

    def _require_known(self, key: RunKey) -> None:
        foreseen = set(self._foreseen())
        rates = {arm.name: arm.rates for arm in self.settings.arms}.get(key.arm, ())
        if self._without_rate(key) not in foreseen or (key.rate != NONE and key.rate not in rates):
            raise InputError(
                f"{key} is not an evaluation of this study",
                rule="arms, rates and seeds are those of the settings",
                allowed=sorted({str(each) for each in foreseen if each.arm == key.arm} or {BASE, *self._arm_names}),
                remedy="correct the key, or add the arm, rate or seed to the settings",
            )

    @property
    def _arm_names(self) -> list[str]:
        return [arm.name for arm in self.settings.arms]

    def _require_alike(self) -> None:
        """Models of one part were asked the same questions. Raises InputError."""
        if RunKey(BASE, NONE, NONE, "test") not in self._models:
            raise InputError(
                f"{BASE}/{NONE}/{NONE}/test is missing",
                rule="every arm is compared with the base on the test part",
                remedy="evaluate the base on the test part; its failure is in the run's status",
            )
        for part in PARTS:
            models = [model for key, model in sorted(self._models.items()) if key.part == part]
            for model in models:
                require_same_questions(model, self.base if part == "test" else models[0])
        asked = {benchmark.name for benchmark in self.base.facts.benchmarks}
        if unasked := [name for name in (self.settings.benchmark, *self.settings.forgetting) if name not in asked]:
            raise InputError(
                f"{', '.join(unasked)}: not a benchmark of the evaluations",
                rule="a study is judged by benchmarks that its models were asked",
                allowed=sorted(asked),
                remedy="correct benchmark or forgetting, or evaluate the models on it",
            )


def table_of(models: Sequence[ComparedModel], benchmark: str) -> Table:
    """The scores of models on a benchmark, shape (models, questions). Raises InputError and DamagedError."""
    table = np.array([[score for _, score in model.answers(benchmark)] for model in models], dtype=np.float64)
    if table.shape[1] < 2:
        raise InputError(
            f"{benchmark} has {table.shape[1]} questions in {models[0].manifest.address}",
            rule="an interval needs at least two questions",
            remedy="ask more questions of the benchmark, or leave it out",
        )
    return table
