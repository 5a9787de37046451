"""A study from the recipe to its report: two arms, three rates, two seeds, on the demo's world."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from components.analyse.study_schema import Study
from tests.integration.pipeline.conftest import CommandLine
from tests.integration.pipeline.test_run import done_tasks, left_processes, written_files
from tests.small_study import RATES, small_study

pytestmark = pytest.mark.timeout(1800)
DATA = ["collect", "curate", "synthesize", "select", "evaluate-base-validation", "evaluate-base-test", "analyse"]


def sweep(arm: str, seeds: list[int], rates: int = 3) -> list[str]:
    """The tasks of an arm."""
    tried = [f"{arm}-r{number}-s{seed}" for number in range(1, rates + 1) for seed in seeds]
    chosen = [f"{step}-{arm}-s{seed}{end}" for seed in seeds for step, end in (("choose", ""), ("evaluate", "-test"))]
    return [*(f"{step}-{one}" for one in tried for step in ("train", "evaluate")), *chosen]


def test_a_study_killed_in_the_middle_continues(command_line: CommandLine) -> None:
    store = command_line.folder / "store"
    recipe = small_study(command_line.folder, str(store))
    command_line.kill_when("evaluate-sft2-all-r2-s0: running", "run", recipe)
    deadline = time.monotonic() + 30
    while left_processes(command_line.folder) and time.monotonic() < deadline:
        time.sleep(0.5)
    kept = {path: at for path, at in written_files(store).items() if path.endswith("manifest.json")}
    trained = [path for path in kept if "/train/" in path]
    assert len(trained) >= 6, "three trainings, each with the model of its first epoch"

    again = command_line.run("run", recipe)
    assert again.returncode == 0, again.stderr
    done = done_tasks(again.stderr)
    wanted = [*DATA, *sweep("sft1-all", [0, 1]), *sweep("sft2-all", [0, 1])]
    assert set(wanted) <= set(done)
    now = written_files(store)
    assert {path: now[path] for path in kept} == kept, "finished trainings are not run again"
    trainings = {done[task] for task in wanted if task.startswith("train-")}
    assert len(trainings) == 12 and len(list((store / "train").glob("*/manifest.json"))) == 12
    _check_choice(store, done, "sft1-all", [0, 1])
    folder = command_line.folder / ".tutelage" / "runs" / "study-demo"
    study = Study.model_validate_json((folder / "study.json").read_bytes())
    assert [(arm.name, arm.status) for arm in study.arms] == [("sft1-all", "complete"), ("sft2-all", "complete")]
    assert study.missing == () and study.total.trainings == 6, "the first epoch is part of the second's training"
    assert "sft2-all" in again.stdout and "report: " in again.stdout
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "Traceback" not in again.stderr + (command_line.folder / ".tutelage/runs/study-demo/log.txt").read_text()


def _check_choice(store: Path, done: dict[str, str], arm: str, seeds: list[int]) -> None:
    """The chosen model is the best rate's, and the one that the part test was asked of."""
    choice = json.loads((store / done[f"choose-{arm}-s0"] / "choice.json").read_text())
    assert done[f"choose-{arm}-s1"] == done[f"choose-{arm}-s0"]
    means = {one["rate"]: one["mean"] for one in choice["tried"]}
    assert sorted(means) == RATES and means[choice["rate"]] == max(means.values())
    number = RATES.index(choice["rate"]) + 1
    for seed in seeds:
        assert choice["models"][str(seed)] == done[f"train-{arm}-r{number}-s{seed}"]
        asked = json.loads((store / done[f"evaluate-{arm}-s{seed}-test"] / "manifest.json").read_text())
        assert asked["parents"]["model"]["address"] == choice["models"][str(seed)]
        validated = json.loads((store / done[f"evaluate-{arm}-r{number}-s{seed}"] / "manifest.json").read_text())
        assert asked["counts"]["questions"] + validated["counts"]["questions"] == 40, "each question is in one part"


def test_a_rate_that_diverges_is_named_and_the_arm_chooses_among_the_others(command_line: CommandLine) -> None:
    """The adapters are scaled by 2.5e16: at the largest rate the loss overflows, at the others they hardly matter."""
    store = command_line.folder / "store"
    rates = [1e-20, 2e-20, 1.0]
    arm = {"chain": "sft@1", "weights": {"lora": {"rank": 4, "alpha": 1e17}}, "learning_rates": rates}
    recipe = small_study(command_line.folder, str(store), arms=[arm], seeds=[0])
    run = command_line.run("run", recipe)
    assert run.returncode == 0, run.stderr
    done = done_tasks(run.stderr)
    assert set(done) >= {*DATA, *sweep("sft1-lora4", [0])}, "no task fails"
    choice = json.loads((store / done["choose-sft1-lora4-s0"] / "choice.json").read_text())
    assert [one["diverged"] for one in choice["tried"]] == [[], [], [0]] and choice["rate"] < 1
    study = Study.model_validate_json((command_line.folder / ".tutelage/runs/study-demo/study.json").read_bytes())
    (judged,) = study.arms
    assert (judged.status, study.missing) == ("complete", ()) and study.total.trainings == 3
    assert [point.diverged for point in judged.sweep] == [(), (), (0,)]
    assert "diverged at 1 learning rate: 1 (seed 0); its rate was chosen among the other 2" in " ".join(
        run.stdout.split()
    )

    selection = {**dict.fromkeys(("collect", "curate", "synthesize", "select")), "rows": done["select"]}
    again = command_line.run("run", small_study(command_line.folder, str(store), arms=[arm], seeds=[0], **selection))
    assert again.returncode == 0, again.stderr
    found = done_tasks(again.stderr)
    assert found["adopt"] == done["select"] and "collect" not in found
    assert found["analyse"] == done["analyse"], "the same rows and questions give the same study"

    pairs = [{"chain": "dpo@1"}]
    refused = command_line.run("run", small_study(command_line.folder, str(store), arms=pairs, seeds=[0], **selection))
    assert refused.returncode != 0 and "has no pairs rows" in refused.stderr
    assert not any(task.startswith("train-") for task in done_tasks(refused.stderr))


def test_a_failed_arm_leaves_the_others_standing(command_line: CommandLine) -> None:
    """The adapters of one arm name a layer that the model lacks."""
    store = command_line.folder / "store"
    lora = {"lora": {"rank": 4, "target_modules": ["no_such_layer"]}}
    arms: list[dict[str, Any]] = [{"chain": "sft@1", "weights": lora}, {"chain": "sft@1"}]
    recipe = small_study(command_line.folder, str(store), arms=arms, seeds=[0])
    run = command_line.run("run", recipe)
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert "train-sft1-lora4-r1-s0" in run.stderr and "no_such_layer" in run.stderr
    assert "also failed: train-sft1-lora4-r2-s0" in run.stderr
    done = done_tasks(run.stderr)
    assert set(done) >= {*DATA, *sweep("sft1-all", [0])}
    assert not any("lora4" in task for task in done)
    study = Study.model_validate_json((command_line.folder / ".tutelage/runs/study-demo/study.json").read_bytes())
    assert [(arm.name, arm.status) for arm in study.arms] == [("sft1-lora4", "failed"), ("sft1-all", "complete")]
    assert "sft1-lora4/-/0/test" in study.missing and "failed" in run.stdout, "the table names it"
    status = command_line.run("status")
    assert status.returncode == 1 and "no_such_layer" in status.stdout
