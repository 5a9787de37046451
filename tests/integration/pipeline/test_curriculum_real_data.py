"""A curriculum on GSM8K's own files, from the folder in TUTELAGE_TEST_DATA."""

import json
import os
from pathlib import Path

import pytest

from components.collect.shapes.gsm8k import CALCULATOR
from components.shared.rollout_rows import Bridged, Probed, TrainingRollout
from tests.integration.pipeline.conftest import ROOT, CommandLine
from tests.integration.pipeline.test_curriculum import Finished

VARIABLE = "TUTELAGE_TEST_DATA"
RECIPE = ROOT / "pipelines" / "recipes" / "curriculum-real-data.yaml"
PROBLEMS = 12

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def data() -> Path:
    """The folder with `instructions/` and `eval/`."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs {VARIABLE}, a folder with instructions/ and eval/ as they were published")
    return Path(os.environ[VARIABLE])


def test_every_step_takes_gsm8ks_own_problems(command_line: CommandLine, data: Path) -> None:
    store = command_line.folder / "store"
    run = Finished(
        command_line,
        store,
        str(RECIPE),
        *("--set", f"data={data}", "--store", str(store)),
        name="curriculum-real-data",
    )
    answers = _answers(data / "instructions" / "gsm8k_train.jsonl")
    probed = list(run.library.read_rows(run.of("probe-round-1"), Probed))
    assert len(probed) == PROBLEMS
    for row in probed:
        assert row.check is not None and row.check.kind == "math"
        assert row.check.answer == answers[row.instruction].rpartition("#### ")[2].replace(",", "")
        assert row.tries in {4, 8} and row.decided

    taught = [
        row for row in run.library.read_rows(run.of("bridge-round-1"), Bridged, "bridged") if row.chosen is not None
    ]
    assert taught, "GSM8K's solutions are there where the teacher has none"
    references = [row for row in taught if row.texts[row.chosen or 0].origin == "reference"]
    assert all(
        row.texts[row.chosen or 0].text.strip() == CALCULATOR.sub("", answers[row.instruction]).strip()
        for row in references
    )
    assert len(references) >= len(taught) / 2

    rollouts = list(run.library.read_rows(run.of("train-round-1-rl"), TrainingRollout, "rollouts"))
    assert rollouts and {row.id for row in rollouts} <= {row.id for row in probed}
    assert run.of("critique-round-2").counts["sft_rows"] > 0
    facts = run.report.curriculum
    assert facts is not None
    assert [probe.problems for probe in facts.probes] == [PROBLEMS] * 3
    assert facts.equal_compute is not None
    assert [one.variant for one in facts.equal_compute.baselines] == ["sft-grpo"]


def _answers(file: Path) -> dict[str, str]:
    """GSM8K's worked answers by question."""
    return {row["question"]: row["answer"] for row in map(json.loads, file.read_text().splitlines())}
