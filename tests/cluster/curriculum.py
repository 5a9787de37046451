"""The curriculum's demo made small, and a run of it right before its training by RL.

Its teacher and its student are the graded world's own, run by transformers, so no pod needs an endpoint.
"""

from pathlib import Path
from typing import Any, ClassVar

import yaml

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rollout_rows import Routed, TrainingRollout
from components.shared.rows import Check
from components.shared.settings import Settings
from components.shared.step import Product
from tests.cluster.demo import ROOT, compile_recipe, placement_for
from tests.cluster.kubeflow.run import TaskOutputs
from tests.cluster.training import TrainRun

CURRICULUM = ROOT / "pipelines" / "recipes" / "curriculum-demo.yaml"
STUDENT = "package:demo/graded/student"
KINDS = 12
"""Kinds of problems, by family and number of steps, of which each line of the problems' file has the next."""
PROBLEMS, QUESTIONS = 4 * KINDS, 40
RESPONSE_TOKENS = 128
"""Most tokens of a rollout: the student's solutions are shorter, but what it draws at temperature 1 may not end."""
GROUP = 8
STEP_ROLLOUTS = 4 * GROUP


def small_curriculum(folder: Path, **changes: Any) -> Path:
    """Write the recipe with few problems, short rollouts and one baseline; return its path."""
    recipe = yaml.safe_load(CURRICULUM.read_text())
    recipe["collect"]["sources"][0]["limit"] = PROBLEMS
    recipe["collect"]["benchmarks"][0]["limit"] = QUESTIONS
    recipe["train"]["rl"]["grpo"] = {"group_size": GROUP, "max_response": RESPONSE_TOKENS}
    for step in ("probe", "bridge", "critique"):
        recipe[step]["actors"] = 1
    recipe["train"]["sft"] |= {"epochs": 2, "micro_batch": 4}
    recipe["train"]["rl"] |= {"epochs": 1, "global_batch": STEP_ROLLOUTS, "micro_batch": 4}
    recipe["probe_again"] = False
    recipe["compare"]["baselines"] = ["distillation"]
    for part, values in changes.items():
        recipe["train"][part] |= values
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


class RolloutRun(TrainRun):
    """A run whose next task is the first training by RL, of the student as it ships."""

    task: ClassVar[str] = "train-2"

    def begin_rollouts(self, **changes: Any) -> "RolloutRun":
        """Compile and register the run; `changes` are settings of the training."""
        placement = placement_for(self.storage, self.folder)
        self.run = self.registered(compile_recipe(small_curriculum(self.folder, rl=changes), self.root, placement))
        self.put("route", "routed", self._routed())
        self.run.made["train"] = TaskOutputs({"Output": STUDENT}, {})
        return self

    def rollouts(self, made: Manifest) -> list[TrainingRollout]:
        """The rollouts that a training stored, in the order of its steps."""
        return list(Library(self.root).read_rows(made, TrainingRollout, part="rollouts"))

    def _routed(self) -> Manifest:
        output = Output(Library(self.root), Product("route", 1, Routed.content), Settings(), {})
        output.write_rows("rl/00000", [_problem(number) for number in range(PROBLEMS)])
        return output.finish()


def _problem(number: int) -> Routed:
    """A problem of two steps, as the student solves it in some of its rollouts."""
    coins, more, less = 10 + number % 20, 1 + number % 5, 1 + number % 4
    return Routed(
        id=str(number),
        source="made up",
        line=number + 1,
        instruction=f"You have {coins} coins. Get {more}. Lose {less}. How many?",
        check=Check(kind="math", answer=str(coins + more - less)),
        type="math",
        primary="coins",
        secondary="two steps",
        tries=8,
        successes=2,
        pool="mixed",
    )
