"""Choices are ranked by the log-likelihoods that lm-evaluation-harness gives them, at the cost of their unique tokens.

The oracle is the harness's own transformers model (HFLM): each pair of a context and a continuation, padded, in fp32.
"""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.evaluate.benchmarks.benchmark import Benchmark
from components.evaluate.benchmarks.ranked import BENCHMARK as RANKED
from components.evaluate.evaluation import Evaluation
from components.evaluate.questions import QuestionSet
from components.evaluate.settings import EvaluationSettings
from components.evaluate.step import EVALUATION
from components.models.forward.packed_model import PackedModel
from components.shared.errors import ModelError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rows import Question, Sample

MODELS = ["demo/student", "demo/teacher"]
PLAIN = [json.loads(line)["question"] for line in Path("demo/heldout.jsonl").read_text().splitlines()[:12]]
CHOICES = (("1", "12", "123"), ("red", "a dark red, not a bright one"), ("7", "No.", "two words", "12", "none"))
LONG = "A farmer has three sheep and buys four more; how many are there? " * 40
"""More bytes than the demo's models have positions."""


def questions() -> list[Question]:
    asked = [*PLAIN, LONG]
    return [
        Question(
            benchmark="own",
            id=str(number),
            question=text,
            choices=CHOICES[number % 3],
            answer="ABCDE"[number % len(CHOICES[number % 3])],
        )
        for number, text in enumerate(asked)
    ]


def evaluated(root: Path, model: str, asked: list[Question], **more: Any) -> tuple[Manifest, list[Sample]]:
    settings = EvaluationSettings.model_validate({"benchmarks": [{"name": "own", "benchmark": "ranked"}], **more})
    output = Output(Library(str(root)), EVALUATION, settings, {})
    manifest = Evaluation(output, settings, "student", Path(model), {"own": QuestionSet(tuple(asked), {})}).run()
    return manifest, list(Library(str(root)).read_rows(manifest, Sample, "samples/own"))


def harness(model: str, asked: list[Question], kind: Benchmark = RANKED) -> list[list[float]]:
    """The log-likelihoods of every choice, by question."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    lm = HFLM(pretrained=AutoModelForCausalLM.from_pretrained(model), tokenizer=tokenizer, batch_size=4)
    pairs = [
        (lm.apply_chat_template([{"role": "user", "content": kind.prompt(one)}]), choice)
        for one in asked
        for choice in one.choices
    ]
    found = iter(lm.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in pairs], disable_tqdm=True))
    return [[next(found)[0] for _ in one.choices] for one in asked]


def is_right(asked: Question, values: list[float]) -> bool:
    return values.index(max(values)) == "ABCDE".index(asked.answer)


def by_character(asked: Question, likelihoods: list[float]) -> list[float]:
    return [total / len(text) for total, text in zip(likelihoods, asked.choices, strict=True)]


@pytest.mark.parametrize("model", MODELS)
def test_log_likelihoods_and_scores_are_those_of_the_harness(tmp_path: Path, model: str) -> None:
    torch.set_num_threads(1)
    asked = questions()
    manifest, samples = evaluated(tmp_path, model, asked)
    expected = harness(model, asked)
    for sample, likelihoods in zip(samples, expected, strict=True):
        assert json.loads(sample.outputs[0]) == pytest.approx(likelihoods, abs=1e-4)
    right = [is_right(one, row) for one, row in zip(asked, expected, strict=True)]
    assert [sample.score for sample in samples] == right
    stored = json.loads(Library(str(tmp_path)).read_bytes(manifest, "scores.json"))
    scores = {one["metric"]: one["value"] for one in stored}
    normed = [is_right(one, by_character(one, row)) for one, row in zip(asked, expected, strict=True)]
    assert scores == {"acc": pytest.approx(mean(right)), "acc_norm": pytest.approx(mean(normed))}
    assert manifest.counts["truncated_prompts"] == 1


def test_each_context_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    hidden = PackedModel.hidden

    def counted(self: PackedModel, packed: Any, *others: Any) -> torch.Tensor:
        computed.append(packed.tokens)
        return hidden(self, packed, *others)

    monkeypatch.setattr(PackedModel, "hidden", counted)
    asked = questions()[:-1]
    manifest, _ = evaluated(tmp_path, "demo/student", asked)
    tokenizer = AutoTokenizer.from_pretrained("demo/student")
    unique = 0
    for one in asked:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": one.question}], add_generation_prompt=True)
        ids = prompt["input_ids"] if not isinstance(prompt, list) else prompt
        unique += len(ids) + sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in one.choices)
    check, *batches = computed
    assert check < 40, "the first pass is the check on three short rows"
    assert 0.5 * unique < sum(batches) <= 1.05 * unique
    assert manifest.cost.tokens_in == unique


def test_other_benchmarks_generate_before_and_after_it(tmp_path: Path) -> None:
    sets = {
        name: QuestionSet(tuple(one.model_copy(update={"benchmark": name}) for one in questions()[:4]), {})
        for name in ("mmlu", "own", "ceval")
    }

    def outputs(*wanted: dict[str, Any]) -> dict[str, list[tuple[str, ...]]]:
        settings = EvaluationSettings.model_validate({"benchmarks": wanted})
        library = Library(str(tmp_path))
        output = Output(library, EVALUATION, settings, {})
        manifest = Evaluation(output, settings, "student", Path("demo/student"), sets).run()
        names = [each["name"] for each in wanted]
        return {name: [row.outputs for row in library.read_rows(manifest, Sample, f"samples/{name}")] for name in names}

    mmlu, own, ceval = {"name": "mmlu"}, {"name": "own", "benchmark": "ranked"}, {"name": "ceval"}
    assert outputs(mmlu, own, ceval) == {**outputs(mmlu), **outputs(own), **outputs(ceval)}


def test_several_answers_to_a_question_are_its_one_ranking(tmp_path: Path) -> None:
    _, samples = evaluated(tmp_path, "demo/student", questions()[:2], samples=3, temperature=0.7)
    assert all(len(sample.outputs) == 3 and len(set(sample.outputs)) == 1 for sample in samples)


def test_a_choice_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    asked = questions()[0].model_copy(update={"choices": ("1", LONG)})
    with pytest.raises(ModelError, match=r"a continuation of \d+ tokens leaves no room for a prompt in 'student'"):
        evaluated(tmp_path, "demo/student", [asked])
