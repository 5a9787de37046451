"""A real, untrained model as the teacher: its replies have no labels, and the step fails with a clear message."""

from pathlib import Path

import pytest

from components.curate.curate import curate_instructions
from components.curate.settings import CurateSettings
from components.models.generators.generator import Sampling
from components.models.generators.transformers import TransformersSettings
from components.shared.errors import EmptyDataError, GenerationError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Instruction, Question
from components.shared.settings import Settings
from components.shared.step import Product
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("teacher"), hidden_size=16, num_hidden_layers=1))


def settings(model: str, share: float) -> CurateSettings:
    return CurateSettings(
        teacher=TransformersSettings(model=model, batch=4),
        label_sampling=Sampling(max_tokens=4),
        label_template="Label: {instruction}",
        unlabelled_share=share,
    )


def inputs(root: str) -> tuple[Manifest, Manifest]:
    rows = [Instruction(id=f"id{n}", source="s", line=n, instruction=f"What is planet{n}?") for n in range(8)]
    question = Question(benchmark="b", id="1", question="What is the capital of France?", answer="Paris")
    instructions, benchmarks = (
        Output(Library(root), Product(step, 1, Instruction.content), Settings(), {})
        for step in ("collect", "benchmarks")
    )
    instructions.write_rows("rows/00000", rows)
    benchmarks.write_rows("rows/00000", [question])
    return instructions.finish(), benchmarks.finish()


def test_replies_without_labels_of_a_real_model_fail_the_step(tmp_path: Path, untrained: str) -> None:
    root = str(tmp_path)
    with pytest.raises(GenerationError, match="of 1 replies to the label prompt have no label") as caught:
        curate_instructions(Library(root), settings(untrained, 0.1), *inputs(root))
    assert "label_template" in caught.value.remedy


def test_rows_are_unlabelled_if_replies_without_labels_are_allowed(tmp_path: Path, untrained: str) -> None:
    root = str(tmp_path)
    with pytest.raises(EmptyDataError, match="dropped: unlabelled 8") as caught:
        curate_instructions(Library(root), settings(untrained, 1.0), *inputs(root))
    assert "label_template" in caught.value.remedy
