"""The contract of compare: what it makes of evaluations, and which it refuses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.compare.compare import compare_models, read_table
from components.compare.component import compare
from components.compare.settings import CompareSettings
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rows import AskedBenchmark, EvaluationFacts, Sample, Score
from components.shared.scores import score_values
from components.shared.settings import Settings
from components.shared.step import Product

DEMO = AskedBenchmark(
    name="demo", metric="exact_match", protocol="the reply", few_shot=0, max_tokens=4,
    samples=1, temperature=0.0, top_p=1.0,
)  # fmt: skip
EVALUATION = Product("evaluate", 5, "evaluation/1")


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = str(path), {}
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


class Asked:
    """Evaluations in a folder store."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "store")
        self.library = Library(self.root)

    def evaluation(
        self,
        model: str,
        answers: Sequence[float],
        *,
        asked: AskedBenchmark = DEMO,
        readings: Sequence[Score] = (),
        endpoint: bool = False,
        product: Product = EVALUATION,
    ) -> Manifest:
        """An evaluation of a model with these scores of its answers."""
        inputs = {"model": Parent(address=model, digest=f"sha256:{model.encode().hex():0>64}")}
        output = Output(self.library, product, Settings(), inputs)
        output.write_json("evaluation.json", EvaluationFacts(benchmarks=(asked,), endpoint=endpoint))
        subject = score_values(f"{asked.name}/odd", asked.metric, answers[1::2])
        scores = [score_values(asked.name, asked.metric, answers), *readings, subject]
        output.write_json("scores.json", [score.model_dump() for score in scores])
        samples = (Sample(benchmark=asked.name, id=f"q{n}", output="?", score=value) for n, value in enumerate(answers))
        output.write_rows(f"samples/{asked.name}/00000", samples)
        return output.finish({"questions": len(answers), "truncated_prompts": 1, "control_text_prompts": 0})

    def compare(self, evaluations: dict[str, Manifest], **settings: Any) -> Manifest:
        return compare_models(self.library, CompareSettings.model_validate(settings), evaluations)


BASE = [0.0] * 10 + [1.0] * 4 + [0.0] * 6
"""Right on four of twenty questions."""
BETTER = [1.0] * 10 + [0.0] * 10
"""Right on ten that the base gets wrong, and wrong on its four."""


@pytest.fixture
def store(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_component_hands_over_scores_and_differences(tmp_path: Path, store: Asked) -> None:
    base, sft = store.evaluation("package:student", BASE), store.evaluation("train/0123456789abcdef", BETTER)
    evaluations = {"sft": sft, "base": base, "sft-kto": sft}
    uris = {name: store.library.uri(manifest.address) for name, manifest in evaluations.items()}
    outputs = [Artifact(tmp_path / "out" / name) for name in ("comparison", "metrics", "summary")]
    uri = compare.python_func(store.root, {"correction": "none"}, uris, *outputs)
    comparison, metrics, summary = outputs

    manifest = parse_manifest(Path(comparison.path).read_bytes(), where="comparison")
    assert manifest.content == "comparison/1" and uri == f"{store.root}/{manifest.address}"
    assert manifest.parents == {name: one.parent for name, one in evaluations.items()}
    assert metrics.logged["base_demo"] == 0.2 and metrics.logged["sft_kto_demo"] == 0.5
    assert metrics.logged["questions"] == 40, "sft and sft-kto are one model here, asked once"
    said = Path(summary.path).read_text()
    assert (
        "| sft | 50.0 ± 11.5 (+30.0, p = 0.180) |" in said
        and "- **demo**: exact_match; the reply; zero-shot; a greedy answer of at most 4 tokens" in said
    )
    assert "2 prompts exceeded the models' context" in said

    table = read_table(store.library, manifest)
    base_row, sft_row, _ = table.variants
    assert table.base == "base" and base_row.against_base == () and table.asked == (DEMO,)
    assert (sft_row.reference, sft_row.digest) == ("train/0123456789abcdef", sft.parents["model"].digest)
    assert [score.benchmark for score in sft_row.scores] == ["demo"], "subjects stay in the evaluation"
    assert sft_row.scores[0].value == 0.5 and sft_row.scores[0].count == 20
    (against,) = sft_row.against_base
    # 10 questions won, 4 lost: 2 (C(14,0) + … + C(14,4)) / 2^14
    assert against.difference == pytest.approx(0.3) and against.p_value == pytest.approx(2 * 1471 / 2**14)


def test_p_values_are_corrected_for_the_number_of_models(store: Asked) -> None:
    evaluations = {name: store.evaluation(name, BETTER) for name in ("one", "two")}
    manifest = store.compare({"base": store.evaluation("student", BASE), **evaluations})
    _, *others = read_table(store.library, manifest).variants
    single = 2 * 1471 / 2**14
    assert [row.against_base[0].p_value for row in others] == pytest.approx([2 * single, 2 * single])
    for row in others:
        assert row.selection and row.confirmation
        assert row.selection.scores[0].count + row.confirmation.scores[0].count == 20


def test_an_endpoint_is_a_row_that_is_marked(store: Asked) -> None:
    teacher = store.evaluation("openai:teacher", BETTER, endpoint=True)
    manifest = store.compare({"base": store.evaluation("student", BASE), "teacher": teacher})
    base, row = read_table(store.library, manifest).variants
    assert (base.endpoint, row.endpoint, row.reference) == (False, True, "openai:teacher")
    assert row.against_base[0].difference == pytest.approx(0.3)


def test_other_readings_stand_beside_the_score(store: Asked) -> None:
    strict = score_values("demo", "strict_match", [0.0, 0.0])
    manifest = store.compare({"base": store.evaluation("student", BASE, readings=[strict])})
    (row,) = read_table(store.library, manifest).variants
    assert [score.metric for score in row.scores] == ["exact_match"] and row.readings == (strict,)
    assert manifest.counts["base_demo_strict_match"] == 0.0


def test_without_base_nothing_is_compared(store: Asked) -> None:
    with pytest.raises(InputError, match="'base'") as caught:
        store.compare({"sft": store.evaluation("sft", BETTER)})
    assert caught.value.allowed == ("sft",)


@pytest.mark.parametrize(
    ("answers", "changed"),
    [
        (BETTER[:19], {}),
        (BETTER, {"few_shot": 4}),
        (BETTER, {"max_tokens": 5}),
        (BETTER, {"samples": 8, "temperature": 0.6}),
        (BETTER, {"temperature": 0.6}),
        (BETTER, {"prompt": "{question} Answer briefly."}),
        (BETTER, {"name": "mmlu"}),
    ],
)
def test_models_that_were_asked_otherwise_are_refused(
    store: Asked, answers: list[float], changed: dict[str, Any]
) -> None:
    other = store.evaluation("sft", answers, asked=DEMO.model_copy(update=changed))
    with pytest.raises(InputError, match=r"sft \(evaluate/.*base \(evaluate/.* were asked other questions of demo"):
        store.compare({"base": store.evaluation("student", BASE), "sft": other})


def test_what_is_no_evaluation_of_this_version_or_store_is_refused(tmp_path: Path, store: Asked) -> None:
    base = store.evaluation("student", BASE)
    wrong = store.evaluation("sft", BETTER, product=Product("train", 1, "model/1"))
    with pytest.raises(InputError, match=r"sft: train/.* holds model/1"):
        store.compare({"base": base, "sft": wrong})
    old = Output(store.library, Product("evaluate", 4, "evaluation/1"), Settings(), {})
    old.write_json("scores.json", [])
    with pytest.raises(InputError, match=r"lacks evaluation\.json") as caught:
        store.compare({"base": old.finish()})
    assert "run the evaluation again" in caught.value.remedy
    with pytest.raises(InputError, match="is not in the store"):
        store.library.address_of(f"{tmp_path}/elsewhere/{base.address}")
