"""Curate, synthesize and select with a teacher behind a real vLLM server, one after the other."""

from pathlib import Path

import pytest

from benchmarks.vllm_cpu.server import VllmServer
from components.curate.curate import curate_instructions
from components.curate.settings import CurateSettings
from components.models.generators.generator import GeneratorSettings
from components.rewards.scorers.judge import QualityJudge
from components.select.select import select_responses
from components.select.settings import SelectSettings
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Answered, Instruction, Labelled, Question, Verdict
from components.shared.settings import Settings
from components.shared.step import Product
from components.synthesize.settings import SynthesizeSettings
from components.synthesize.synthesize import synthesize_responses
from demo.plant_defects import all_rows
from tests.serving.teacher import LOCAL, ask, behind, request

ROWS = 60
SAMPLING = {"max_tokens": 40}
RATING = "How many letters are in {response}?"
"""What the demo's teacher can rate with a number: the length of an answer."""


def collected(library: Library) -> tuple[Manifest, Manifest]:
    """The demo's instructions and a question that none of them overlaps."""
    clean = [entry for entry in all_rows() if entry.kind is None][:ROWS]
    rows = [
        Instruction(id=f"row{n}", source="s", line=n + 1, instruction=entry.question, response=entry.answer)
        for n, entry in enumerate(clean)
    ]
    question = Question(benchmark="b", id="1", question="Who wrote the Critique of Pure Reason?", answer="Kant")
    instructions, benchmarks = (
        Output(library, Product(step, 1, Instruction.content), Settings(), {}) for step in ("collect", "benchmarks")
    )
    instructions.write_rows("rows/00000", rows)
    benchmarks.write_rows("rows/00000", [question])
    return instructions.finish(), benchmarks.finish()


def curated(library: Library, teacher: GeneratorSettings) -> Manifest:
    settings = CurateSettings.model_validate(
        {"teacher": teacher, "label_template": "Label: {instruction}", "label_sampling": SAMPLING, "rare_below": 0}
    )
    return curate_instructions(library, settings, *collected(library))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def labelled(served: VllmServer, library: Library) -> Manifest:
    return curated(library, behind(served))


@pytest.fixture(scope="module")
def answered(served: VllmServer, library: Library, labelled: Manifest) -> Manifest:
    settings = SynthesizeSettings.model_validate(
        {"teacher": behind(served), "origins": ["original", "teacher"], "teacher_sampling": SAMPLING}
    )
    return synthesize_responses(library, settings, labelled)


def test_labels_are_those_that_the_model_itself_gives(library: Library, labelled: Manifest, tmp_path: Path) -> None:
    local = Library(str(tmp_path))
    rows = list(library.read_rows(labelled, Labelled))
    assert rows == list(local.read_rows(curated(local, LOCAL), Labelled))
    assert len({row.primary for row in rows}) > 3


def test_responses_are_those_of_the_model_itself(library: Library, answered: Manifest) -> None:
    rows = list(library.read_rows(answered, Answered))
    expected = ask(LOCAL, [request(row.id, row.instruction) for row in rows])
    given = {row.id: next(one for one in row.responses if one.origin == "teacher") for row in rows}
    assert {key: one.text for key, one in given.items()} == {key: reply.text for key, reply in expected.items()}
    assert answered.cost.tokens_out == sum(reply.tokens_out for reply in expected.values())


def test_a_judge_behind_it_rates_as_the_model_itself(served: VllmServer, library: Library, answered: Manifest) -> None:
    ratings = {name: rated(library, teacher, answered) for name, teacher in (("vllm", behind(served)), ("here", LOCAL))}
    assert ratings["vllm"] == ratings["here"]
    assert len({rating for row in ratings["vllm"].values() for rating in row}) > 2


def rated(library: Library, teacher: GeneratorSettings, answered: Manifest) -> dict[str, list[float | None]]:
    """The quality of each row's responses, by a judge that counts letters."""
    judge = QualityJudge.model_validate({"teacher": teacher, "template": RATING, "max_unreadable_share": 1.0})
    settings = SelectSettings.model_validate({"perplexity": {"scorer": "none"}, "quality": judge})
    selected = select_responses(library, settings, answered)
    verdicts = library.read_rows(selected, Verdict, "verdicts")
    return {row.id: [score.quality for score in row.scores] for row in verdicts}
