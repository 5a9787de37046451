"""A curriculum from the recipe to its report: two rounds, on the demo's world, with a teacher behind an endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.bridge.replay import wanted
from components.publish.report_schema import Report
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.rollout_rows import Probed
from tests.integration.pipeline.conftest import ROOT, CommandLine
from tests.integration.pipeline.test_run import done_tasks, written_files
from tests.stand_in_teacher import StandInTeacher, stand_in_teacher

pytestmark = pytest.mark.timeout(1800)
CURRICULUM = ROOT / "pipelines" / "recipes" / "curriculum-demo.yaml"
LINES = (ROOT / "demo" / "instructions" / "alpaca.jsonl").read_text(errors="replace").splitlines()[:40]
ANSWERS: dict[str, str] = {
    row["instruction"]: row["output"] for row in map(json.loads, LINES) if row["output"] and not row["input"]
}
"""The demo's own instructions, with the answers that they come with."""
ONE_ACTOR = {"actors": 1}
SMALL: dict[str, Any] = {
    "student": "package:demo/student",
    "probe": {
        "generator": {"backend": "transformers", "model": "", "batch": 128},
        "sampling": {"temperature": 1.0, "max_tokens": 40},
        "rule": {"tries": 4, "zero_tries": 8},
        "pass_at": [1, 8],
    },
    "bridge": {
        "traces": 2,
        "trace_sampling": {"temperature": 0.7, "max_tokens": 40},
        "candidates": 2,
        "rewrite_sampling": {"temperature": 0.7, "max_tokens": 40},
        "prompt": "{problem} {trace}",
        "cap": {"fallback_tokens": 40},
        "least_steps": 0,
        "replay": {"share": 0.4},
    },
    "probe_again": False,
    "critique": None,
    "evaluate": {"benchmarks": [{"name": "demo", "max_tokens": 40}]},
}
"""Answers of a few tokens: the demo's student knows short tasks alone."""


def teach(prompt: str) -> str:
    """The answer to the question in a prompt, whether it is to be found, rewritten or continued."""
    if "First wrong step" in prompt:
        return "The word is not the one that was asked for.\nFirst wrong step: 1"
    return next(answer for question, answer in ANSWERS.items() if question in prompt)


def small_curriculum(folder: Path, store: Path, teacher: str, **changes: Any) -> str:
    """Write a curriculum of few problems and questions, for the student of the other demo; return its path."""
    recipe = yaml.safe_load(CURRICULUM.read_text()) | SMALL
    recipe["store"] = str(store)
    recipe["teacher"] = {"backend": "openai", "model": "stand-in", "endpoints": [teacher]}
    problems = folder / "problems.jsonl"
    problems.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in ANSWERS.items()))
    recipe["collect"]["sources"] = [{"name": "questions", "uri": str(problems), "check": {"kind": "exact"}}]
    heldout = {"name": "demo", "uri": "package:demo/heldout.jsonl", "check": {"kind": "exact"}, "limit": 20}
    recipe["collect"]["benchmarks"] = [heldout]
    # No model labels them.
    recipe["curate"] = {"labeller": "rules", "rare_below": 1}
    for step in ("probe", "bridge"):
        recipe[step].update(ONE_ACTOR)
    for training in recipe["train"].values():
        training.update(epochs=1, global_batch=16, max_length=256, launch={"processes_per_node": 1})
    recipe["train"]["rl"]["grpo"]["max_response"] = 40
    recipe["publish"]["gate"]["benchmark"] = "demo"
    recipe["compare"]["baselines"] = ["distillation"]
    recipe.update(changes)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    return str(path)


class Finished:
    """The outputs of a run that completed; `arguments` are those of `tutelage run`, and `name` is the recipe's."""

    def __init__(self, command_line: CommandLine, store: Path, *arguments: str, name: str = "curriculum-demo") -> None:
        self.run = command_line.run("run", *arguments)
        assert self.run.returncode == 0, self.run.stderr
        self.done = done_tasks(self.run.stderr)
        self.library = Library(str(store))
        self._folder = command_line.folder / ".tutelage" / "runs" / name

    def of(self, task: str) -> Manifest:
        """The manifest of a task's output."""
        return self.library.load(self.done[task])

    @property
    def report(self) -> Report:
        return Report.model_validate_json((self._folder / "report.json").read_bytes())

    def model(self, task: str) -> str:
        """The address of a training's model: its own, or that of the start that it handed on."""
        made = self.of(task)
        return made.parents["start"].address if "passed_through" in made.counts else made.address

    @property
    def log(self) -> str:
        return (self._folder / "log.txt").read_text()


def parents(made: Manifest) -> dict[str, str]:
    return {name: parent.address for name, parent in made.parents.items()}


def test_two_rounds_end_in_a_report_and_a_second_run_finds_all_of_it(command_line: CommandLine) -> None:
    store = command_line.folder / "store"
    with stand_in_teacher(teach) as teacher:
        recipe = small_curriculum(command_line.folder, store, teacher.url, critique=ONE_ACTOR)
        first = Finished(command_line, store, recipe)
        _check_rounds(first)
        _check_teaching(store, first, teacher)
        _check_baseline(first)
        names = ["base", "round-1-sft", "round-1-rl", "round-2-sft", "round-2-rl", "distillation"]
        assert [variant.name for variant in first.report.variants] == names
        _check_pass_rates(first)

        now, asked = written_files(store), len(teacher.prompts)
        again = Finished(command_line, store, recipe)
        assert again.done == first.done and len(teacher.prompts) == asked
        assert written_files(store) == now, "a complete run writes nothing"
    assert "Traceback" not in first.run.stderr + again.run.stderr + first.log


def _check_rounds(run: Finished) -> None:
    """Each round begins with the model of the one before."""
    done = run.done
    for number, start in ((1, "package:demo/student"), (2, run.model("train-round-1-rl"))):
        name = f"round-{number}"
        texts = f"{'critique' if number == 2 else 'bridge'}-{name}"
        assert parents(run.of(f"probe-{name}"))["model"] == start
        assert parents(run.of(f"bridge-{name}"))["student"] == start
        assert parents(run.of(f"train-{name}-sft")) == {"dataset": done[texts], "start": start}
        reinforced = parents(run.of(f"train-{name}-rl"))
        assert reinforced == {"dataset": done[f"route-{name}"], "start": run.model(f"train-{name}-sft")}
    counts = run.of("route-round-1").counts
    assert counts["sft_rows"] > 0 and counts["rl_rows"] > 0, "this student has problems of both kinds"
    assert run.of("train-round-1-rl").counts["rollouts"] > 0


def _check_pass_rates(run: Finished) -> None:
    """The report has those before each round and after the last one."""
    facts = run.report.curriculum
    assert facts is not None
    assert [(probe.model, probe.after) for probe in facts.probes] == [
        ("base", None),
        ("round-1-rl", "probe base"),
        ("round-2-rl", "probe round-1-rl"),
    ]
    assert parents(run.of("probe-round-2-rl"))["model"] == run.model("train-round-2-rl")


def _check_baseline(run: Finished) -> None:
    """It learns from the first round's texts, for as much compute as the rounds had."""
    done, baseline = run.done, run.of("train-distillation")
    assert parents(baseline).items() >= {"dataset": done["bridge-round-1"], "start": "package:demo/student"}.items()
    rounds = {done[f"train-round-{number}-{part}"] for number in (1, 2) for part in ("sft", "rl")}
    trained = [run.of(task).counts for task in done if task.startswith("train-round-")]
    spent = sum(one["tokens"] + one.get("tokens_generated", 0) for one in trained)
    assert rounds <= set(parents(baseline).values()) and baseline.counts["tokens_allowed"] == spent
    assert baseline.counts["tokens_spent"] >= spent, "it ends at the first step that reaches it"


def _check_teaching(store: Path, run: Finished, teacher: StandInTeacher) -> None:
    bridged = json.loads((store / run.done["bridge-round-1"] / "report.json").read_text())
    texts = bridged["sft_rows"] - bridged["replay_rows"]
    assert 0 < texts <= bridged["problems"] == run.of("route-round-1").counts["sft_rows"]
    solved = sum(row.successes > 0 for row in run.library.read_rows(run.of("probe-round-1"), Probed))
    assert bridged["replay_rows"] == min(solved, wanted(texts, 0.4)) > 0, "right answers of the student's own"
    assert run.of("train-round-1-sft").counts["rows"] == bridged["sft_rows"]
    assert len(teacher.prompts) >= bridged["problems"]


def test_rounds_with_nothing_left_to_learn_hand_the_student_on(command_line: CommandLine) -> None:
    """The policy keeps no problem at all, so that a round's second probe is of the model of its first."""
    store = command_line.folder / "store"
    shares = {"hard_share": 0, "mixed_share": 0, "easy_share": 0}
    route = {"by": {"policy": "pools", "hard_to_sft": False, **shares}}
    with stand_in_teacher(teach) as teacher:
        changes = {"route": route, "probe_again": True}
        run = Finished(command_line, store, small_curriculum(command_line.folder, store, teacher.url, **changes))
        assert teacher.prompts == []
    assert {"probe-round-1-again", "route-round-2-again"} <= run.done.keys()
    trainings = [task for task in run.done if task.startswith("train-")]
    assert len(trainings) == 5 and all(run.of(task).counts["passed_through"] for task in trainings)
    assert "has no rl rows: package:demo/student is handed on as it is" in run.log
    probes = {address for task, address in run.done.items() if task.startswith("probe-")}
    assert len(probes) == 1, "of the same model nothing is drawn again"
    assert len({address for task, address in run.done.items() if task.startswith("evaluate-")}) == 1
    base, *others = run.report.variants
    assert len(others) == 5 and {one.reference for one in others} == {base.reference} == {"package:demo/student"}
    assert run.report.curriculum is not None
    (handed,) = run.report.curriculum.handed_on
    assert (handed.model, handed.variants) == ("base", tuple(one.name for one in others))
    assert "Nothing is promoted" in run.run.stdout
