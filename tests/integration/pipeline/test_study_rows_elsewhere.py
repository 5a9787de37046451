"""A study whose rows and pairs are in another bucket of a real S3 server than its own outputs."""

from typing import Any

import pytest

from components.analyse.study_schema import Study
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Check, Message, Pair, Question, Scores, SftRow
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store.open_store import open_store
from tests.integration.pipeline.conftest import CommandLine
from tests.integration.pipeline.test_run import done_tasks
from tests.small_study import small_study
from tests.stand_in_outputs import stand_in_output

pytestmark = pytest.mark.timeout(1800)


def prepared(root: str) -> tuple[Manifest, Manifest]:
    """A selection with demonstrations and pairs of sums, and the questions of its run, as the steps store them."""
    asked = Output(Library(root), Product("collect-benchmarks", 1, "question/1"), Settings(), {})
    check = Check(kind="exact", answer="9")
    questions = [
        Question(benchmark="demo", id=f"q{n}", question=f"What is {n} plus {9 - n}?", answer="9", check=check)
        for n in range(10)
    ]
    asked.write_rows("rows/00000", questions)
    made = asked.finish()
    collected = stand_in_output(root, "collect", {}, {}).finish()
    curated = stand_in_output(root, "curate", {}, {"instructions": collected, "benchmarks": made}).finish()
    answered = stand_in_output(root, "synthesize", {}, {"dataset": curated}).finish()
    output = stand_in_output(root, "select", {}, {"responses": answered})
    prompts = [(Message(role="user", content=f"What is {n} plus {n}?"),) for n in range(32)]
    output.write_rows("sft/00000", [demonstration(n, prompt) for n, prompt in enumerate(prompts)])
    output.write_rows("pairs/00000", [pair(n, prompt) for n, prompt in enumerate(prompts)])
    return output.finish(), made


def demonstration(number: int, prompt: tuple[Message, ...]) -> SftRow:
    return SftRow(id=str(number), prompt=prompt, completion=str(2 * number), origin="original", scores=Scores())


def pair(number: int, prompt: tuple[Message, ...]) -> Pair:
    return Pair(
        id=str(number),
        prompt=prompt,
        chosen=str(2 * number),
        rejected=str(2 * number + 1),
        chosen_origin="original",
        rejected_origin="student",
        chosen_scores=Scores(total=1.0),
        rejected_scores=Scores(),
        margin=1.0,
    )


def test_a_study_trains_on_pairs_of_another_bucket(
    command_line: CommandLine, s3_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = f"{s3_server.use(monkeypatch)}/their/runs", f"{s3_server.use(monkeypatch)}/ours"
    command_line.environment.update(s3_server.environment())
    selection, questions = prepared(theirs)
    before = list(open_store(theirs).list())

    data = dict.fromkeys(("collect", "curate", "synthesize", "select"))
    recipe = small_study(
        command_line.folder, ours, arms=[{"chain": "dpo@1"}], seeds=[0], rows=f"{theirs}/{selection.address}", **data
    )
    run = command_line.run("run", recipe)
    assert run.returncode == 0, run.stderr
    done = done_tasks(run.stderr)
    assert done["adopt"] == selection.address and not set(data) & set(done)

    library = Library(ours)
    assert library.load(selection.address) == selection and library.load(questions.address) == questions
    assert [row.id for row in library.read_rows(selection, Pair, "pairs")] == [str(n) for n in range(32)]
    for number in (1, 2, 3):
        trained = library.load(done[f"train-dpo1-all-r{number}-s0"])
        assert trained.parents["dataset"] == selection.parent
    evaluated = library.load(done["evaluate-dpo1-all-s0-test"])
    assert evaluated.parents["benchmarks"] == questions.parent
    study = Study.model_validate_json((command_line.folder / ".tutelage/runs/study-demo/study.json").read_bytes())
    assert [(arm.name, arm.status) for arm in study.arms] == [("dpo1-all", "complete")] and study.missing == ()
    assert list(open_store(theirs).list()) == before, "nothing is written there"
    assert s3_server.secret not in run.stdout + run.stderr
