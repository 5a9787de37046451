"""The contract of evaluate: its inputs and outputs, what runs share, and what it refuses."""

import itertools
import json
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.evaluate import evaluation
from components.evaluate.component import evaluate
from components.evaluate.evaluate import evaluate_model, model_parent
from components.evaluate.settings import EvaluationSettings
from components.evaluate.summarise import summarise
from components.models.not_finite import NotFiniteError
from components.models.reference import as_parent
from components.shared.errors import InputError, ModelError
from components.shared.outputs.compared_model import require_evaluation
from components.shared.outputs.divergence import Divergence, has_diverged
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rows import Check, EvaluationFacts, Message, Question, Sample, Score
from components.shared.settings import Settings
from components.shared.step import Product
from demo.make_tokenizer import save_tokenizer
from tests.deadlines import SECONDS
from tests.stand_in_outputs import stand_in_output

SETTINGS = {"benchmarks": [{"name": "demo", "max_tokens": 4}]}


def demo_question(**fields: Any) -> Question:
    check = Check(kind="exact", answer=fields["answer"], ignore_case=False)
    return Question(benchmark="demo", check=check, **fields)


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.uri, self.metadata = str(path), str(path), {}
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


def save_model(folder: Path, says: str, after: str = "<|assistant|>", then: str = "<|end|>") -> str:
    """A model that answers every prompt with one character and then ends its turn.

    Its attention and feed-forward parts are zero, so the next token depends on the last one alone.
    """
    save_tokenizer(folder)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids([after, says, then])
    size = len(tokenizer)
    config = LlamaConfig(
        **{"vocab_size": size, "hidden_size": size + size % 2, "intermediate_size": 4, "num_hidden_layers": 1},
        **{"num_attention_heads": 1, "max_position_embeddings": 64, "tie_word_embeddings": False},
        **{"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 4},
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(1.0) if "norm" in name else weights.zero_()
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        for last, following in itertools.pairwise(ids):
            model.lm_head.weight[following, last] = 1.0
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("models")
    return {name: save_model(home / name, says) for name, says in (("base", "1"), ("sft", "2"), ("sft-kto", "2"))}


@pytest.fixture
def benchmarks(tmp_path: Path) -> Manifest:
    """Ten questions whose answer is 2, four whose answer is 1, six that no model knows."""
    answers = ["2"] * 10 + ["1"] * 4 + ["?"] * 6
    rows = [
        demo_question(subject=("even", "odd")[n % 2], id=f"q{n}", question=f"Question {n}", answer=answer)
        for n, answer in enumerate(answers)
    ]
    output = Output(Library(str(tmp_path / "store")), Product("collect", 1, Question.content), Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish()


def run(root: Path, questions: Manifest, model: str, name: str = "base", **changed: Any) -> Manifest:
    settings = EvaluationSettings.model_validate({**SETTINGS, **changed})
    return evaluate_model(Library(str(root / "store")), settings, questions, model, name)


def test_component_hands_over_an_evaluation(tmp_path: Path, benchmarks: Manifest, models: dict[str, str]) -> None:
    root = str(tmp_path / "store")
    (tmp_path / "in.json").write_text(benchmarks.model_dump_json())
    given = Artifact(tmp_path / "in.json")
    outputs = [Artifact(tmp_path / "out" / name) for name in ("evaluation", "metrics", "summary")]
    uri = evaluate.python_func(root, "evaluate-sft", "sft", SETTINGS, given, models["sft"], *outputs)
    evaluated, metrics, summary = outputs

    manifest = parse_manifest(Path(evaluated.path).read_bytes(), where="evaluation")
    assert manifest.content == "evaluation/1" and uri == f"{root}/{manifest.address}"
    assert manifest.parents["model"] == as_parent(models["sft"])
    assert metrics.logged["demo"] == 0.5 and metrics.logged["questions"] == 20
    said = Path(summary.path).read_text()
    assert "# Evaluation of sft" in said and "| demo | exact_match | 50.0 ± 11.5 | 29.9 to 70.1 | 20 |" in said

    facts = EvaluationFacts.model_validate_json(Library(root).read_bytes(manifest, "evaluation.json"))
    (asked,) = facts.benchmarks
    assert (asked.name, asked.metric, asked.max_tokens, facts.endpoint) == ("demo", "exact_match", 4, False)
    assert (asked.samples, asked.temperature, asked.pass_at) == (1, 0.0, ())
    samples = list(Library(root).read_rows(manifest, Sample, "samples/demo"))
    assert [sample.id for sample in samples] == [f"q{number}" for number in range(20)]
    assert {sample.outputs for sample in samples} == {("2",)}
    scores = json.loads(Library(root).read_bytes(manifest, "scores.json"))
    assert [score["benchmark"] for score in scores] == ["demo", "demo/even", "demo/odd"]
    assert scores[0]["value"] == 0.5 and scores[0]["standard_error"] == pytest.approx((0.25 / 19) ** 0.5)
    assert manifest.cost.tokens_out == 40 and manifest.cost.tokens_in > 0


def diverged_training(root: str, seed: int) -> Manifest:
    """The output of a training that diverged: no model."""
    output = stand_in_output(root, "train", {"seed": seed}, {})
    found = Divergence(training=output.address, step=7, problem="the loss of step 7 is nan")
    output.write_json("diverged.json", found)
    return output.finish({"diverged": 1})


def test_a_training_that_diverged_has_an_evaluation_without_scores(tmp_path: Path, benchmarks: Manifest) -> None:
    root = str(tmp_path / "store")
    trained, other = diverged_training(root, 0), diverged_training(root, 1)
    asked = {"part": "validation", "on_divergence": "finish"}
    with pytest.raises(ModelError, match="holds no model: the loss of step 7 is nan"):
        run(tmp_path, benchmarks, f"{root}/{trained.address}", "sft-r3", part="validation")
    made = run(tmp_path, benchmarks, f"{root}/{trained.address}", "sft-r3", **asked)
    assert has_diverged(made) and made.counts == {"questions": 0, "diverged": 1}
    assert made.parents["model"] == trained.parent
    facts = EvaluationFacts.model_validate_json(Library(root).read_bytes(made, "evaluation.json"))
    assert (facts.part, facts.benchmarks) == ("validation", ())
    assert "Not asked: its training diverged, the loss of step 7 is nan." in summarise(Library(root), made, "sft-r3")
    with pytest.raises(InputError, match=f"the training at {trained.address} diverged"):
        require_evaluation("sft-r3", made)
    with pytest.raises(ModelError, match="has no scores: the loss of step 7 is nan"):
        run(tmp_path, benchmarks, f"{root}/{trained.address}", "sft-r3", part="validation")
    assert run(tmp_path, benchmarks, f"{root}/{other.address}", **asked).address != made.address


def overflowing(folder: Path, source: str, *, from_token: int) -> str:
    """A copy of a model whose logits are infinite after one token, with weights that are finite."""
    shutil.copytree(source, folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[:, from_token] = 3e38
    model.save_pretrained(folder)
    return str(folder)


def test_a_model_whose_logits_are_not_finite_has_no_scores(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its weights are finite, so its training ended well; of the benchmarks before, nothing is kept."""
    root = str(tmp_path / "store")
    model = overflowing(tmp_path / "overflowing", models["sft"], from_token=3)
    with pytest.raises(NotFiniteError, match=r"'sft-r3' computes logits for token 1 of its answer to 'demo/q\d+/0'"):
        run(tmp_path, benchmarks, model, "sft-r3")
    made = run(tmp_path, benchmarks, model, "sft-r3", on_divergence="finish")
    assert has_diverged(made) and made.counts == {"questions": 0, "diverged": 1}
    assert sorted(shard.name for shard in made.shards) == ["diverged.json", "evaluation.json"]
    assert "sft-r3 has no scores, as if its training had diverged" in capsys.readouterr().err
    assert "No scores, 'sft-r3' computes logits for token 1" in summarise(Library(root), made, "sft-r3")
    with pytest.raises(ModelError, match="has no scores: 'sft-r3' computes logits"):
        run(tmp_path, benchmarks, model, "sft-r3")


def test_names_of_one_model_and_later_runs_share_its_evaluation(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, benchmarks, models["sft"], "sft")
    monkeypatch.setattr(evaluation.Evaluation, "run", lambda _: pytest.fail("the model was asked again"))
    assert run(tmp_path, benchmarks, models["sft"], "sft").created == first.created
    assert run(tmp_path, benchmarks, models["sft-kto"], "sft-kto", generator={"batch": 3}) == first, "one model"


def test_a_name_of_a_model_that_is_being_evaluated_waits_for_the_result(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.shared.store import lease

    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)
    real, entered, asked = evaluation.Evaluation.run, threading.Barrier(2), []

    def slow(self: evaluation.Evaluation) -> Manifest:
        asked.append(self._name)
        entered.wait(SECONDS)
        # The other one finds the lease taken.
        time.sleep(0.2)
        return real(self)

    monkeypatch.setattr(evaluation.Evaluation, "run", slow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run, tmp_path, benchmarks, models["sft"], "sft")
        entered.wait(SECONDS)
        second = pool.submit(run, tmp_path, benchmarks, models["sft-kto"], "sft-kto")
        assert first.result(SECONDS) == second.result(SECONDS)
    assert asked == ["sft"]


ENDPOINT = {"backend": "openai", "model": "teacher", "endpoints": ["http://127.0.0.1:1/v1"]}


def test_an_endpoint_is_identified_by_what_it_serves_and_needs_no_model(tmp_path: Path, benchmarks: Manifest) -> None:
    def parent_of(**changed: Any) -> Parent:
        settings = EvaluationSettings.model_validate({**SETTINGS, "generator": {**ENDPOINT, **changed}})
        return model_parent(settings, "")

    assert parent_of().address == "openai:teacher"
    assert parent_of(endpoints=["http://elsewhere/v1"], price={"per_million_in": 1.0}) == parent_of()
    assert len({parent_of(**changed).digest for changed in ({}, {"model": "other"}, {"extra": {"top_k": 1}})}) == 3
    with pytest.raises(InputError, match="no model to evaluate"):
        run(tmp_path, benchmarks, "")


def test_killed_evaluation_goes_on_behind_the_benchmarks_that_are_done(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [*SETTINGS["benchmarks"], {"name": "mmlu", "max_tokens": 4}]
    root, real, asked = str(tmp_path / "store"), evaluation.ask, []
    rows = [
        *Library(root).read_rows(benchmarks, Question),
        Question(benchmark="mmlu", id="m", question="?", answer="B"),
    ]
    output = Output(Library(root), Product("collect", 2, Question.content), Settings(), {})
    output.write_rows("rows/00000", rows)
    more = output.finish()

    def killed_at_mmlu(model: Any, asking: Any, *rest: Any) -> Any:
        asked.append(asking.benchmark.name)
        if asked == ["demo", "mmlu"]:
            raise KeyboardInterrupt
        return real(model, asking, *rest)

    monkeypatch.setattr(evaluation, "ask", killed_at_mmlu)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, more, models["base"], benchmarks=wanted)
    manifest = run(tmp_path, more, models["base"], benchmarks=wanted)
    assert asked == ["demo", "mmlu", "mmlu"]
    assert (manifest.counts["demo"], manifest.counts["mmlu"]) == (0.2, 0.0)


def test_long_prompts_lose_their_beginning_and_are_counted(tmp_path: Path, models: dict[str, str]) -> None:
    output = Output(Library(str(tmp_path / "store")), Product("collect", 1, Question.content), Settings(), {})
    texts = ["short", "x" * 100]
    rows = [demo_question(id=text[:5], question=text, answer="1") for text in texts]
    output.write_rows("rows/00000", rows)
    manifest = run(tmp_path, output.finish(), models["base"])
    assert manifest.counts["truncated_prompts"] == 1
    assert manifest.counts["demo"] == 1.0, "what is kept ends where the answer begins"


def test_a_question_follows_its_system_message_and_its_earlier_turns(tmp_path: Path, models: dict[str, str]) -> None:
    history = (Message(role="user", content="One?"), Message(role="assistant", content="Yes."))
    row = demo_question(id="1", system="Be brief.", history=history, question="Two?", answer="1")
    manifest = run(tmp_path, imported(tmp_path, [row]), models["base"])
    # Every character is one token; each turn has two more, and the answer's begins with one.
    assert manifest.cost.tokens_in == sum(len(text) + 2 for text in ("Be brief.", "One?", "Yes.", "Two?")) + 1
    assert manifest.counts["demo"] == 1.0


def imported(root: Path, rows: list[Question]) -> Manifest:
    output = Output(Library(str(root / "store")), Product("collect", 1, Question.content), Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish()


def test_other_readings_stand_beside_the_score(tmp_path: Path, models: dict[str, str]) -> None:
    rows = [Question(benchmark="gsm8k", id=answer, question="?", answer=answer) for answer in ("1", "2")]
    wanted = [{"name": "gsm8k", "few_shot": 0, "max_tokens": 4}]
    manifest = run(tmp_path, imported(tmp_path, rows), models["base"], benchmarks=wanted)
    library = Library(str(tmp_path / "store"))
    scores = [Score.model_validate(score) for score in json.loads(library.read_bytes(manifest, "scores.json"))]
    assert [(score.metric, score.value, score.count) for score in scores] == [
        ("exact_match", 0.5, 2),
        ("strict_match", 0.0, 2),
    ]
    assert manifest.counts["gsm8k"] == 0.5
    assert "| gsm8k | strict_match | 0.0 ± 0.0 | 0.0 to 65.8 | 2 |" in summarise(library, manifest, "base")


def test_averages_over_several_answers_and_pass_rates_have_intervals(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str]
) -> None:
    sampled = {"name": "demo", "max_tokens": 4, "samples": 4, "temperature": 0.2, "pass_at": [2, 4]}
    manifest = run(tmp_path, benchmarks, models["sft"], benchmarks=[sampled])
    text = summarise(Library(str(tmp_path / "store")), manifest, "sft")
    found = re.findall(r"\| demo \| (\S+) \| ([\d.]+) ± [\d.]+ \| ([\d.]+) to ([\d.]+) \| 20 \|", text)
    assert [metric for metric, *_ in found] == ["exact_match", "pass@2", "pass@4", "maj@4"]
    for _, value, low, high in found:
        assert float(low) < float(value) < float(high)


def test_too_few_worked_examples_are_refused_before_a_model_is_loaded(tmp_path: Path, models: dict[str, str]) -> None:
    broken = Path(shutil.copytree(models["sft"], tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"not a tensor")
    rows = [Question(benchmark="mmlu", subject="law", id="1", question="?", choices=("a", "b"), answer="B")]
    with pytest.raises(InputError, match="few_shot of mmlu is 5, but subject 'law' of mmlu has 0 worked examples"):
        run(tmp_path, imported(tmp_path, rows), str(broken), benchmarks=[{"name": "mmlu", "few_shot": 5}])


def test_model_without_template_is_refused(tmp_path: Path, benchmarks: Manifest, models: dict[str, str]) -> None:
    bare = Path(shutil.copytree(models["sft"], tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"'bare'.* has no chat template") as caught:
        run(tmp_path, benchmarks, str(bare), "bare")
    assert "chat_template.jinja" in caught.value.remedy


def test_damaged_weights_are_refused_without_a_traceback(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str]
) -> None:
    broken = Path(shutil.copytree(models["sft"], tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match=r"model\.safetensors is not a safetensors file"):
        run(tmp_path, benchmarks, str(broken), "broken")


def test_wrong_settings_end_with_code_2(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(benchmarks.model_dump_json())
    outputs = [Artifact(tmp_path / name) for name in ("evaluation", "metrics", "summary")]
    wrong = {"benchmarks": [{"name": "mine", "benchmark": "mmmlu"}]}
    with pytest.raises(SystemExit) as caught:
        evaluate.python_func(
            *(str(tmp_path), "evaluate-base", "base", wrong, Artifact(tmp_path / "in.json"), models["base"]), *outputs
        )
    assert caught.value.code == 2
    said = capfd.readouterr().err
    assert "no benchmark 'mmmlu'" in said and "gsm8k" in said and "Traceback" not in said


def test_rows_of_another_kind_name_the_missing_fields(tmp_path: Path, models: dict[str, str]) -> None:
    output = Output(Library(str(tmp_path / "store")), Product("collect", 1, Sample.content), Settings(), {})
    output.write_rows("rows/00000", [Sample(benchmark="demo", id="1", outputs=("x",), scores=(0.0,))])
    with pytest.raises(InputError, match="question: Field required"):
        run(tmp_path, output.finish(), models["base"])


def add_to_texts(folder: str, copy: Path, single: str) -> str:
    """A copy of a model whose tokenizer puts a token before or behind each text."""
    shutil.copytree(folder, copy)
    described = json.loads((copy / "tokenizer.json").read_text())
    pieces = [{"Sequence": {"id": "A", "type_id": 0}} if part == "$A" else special(part) for part in single.split()]
    names = {part: part for part in single.split() if part != "$A"}
    ids = {token["content"]: token["id"] for token in described["added_tokens"]}
    described["post_processor"] = {
        "type": "TemplateProcessing",
        "single": pieces,
        "pair": [*pieces, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in names},
    }
    (copy / "tokenizer.json").write_text(json.dumps(described))
    return str(copy)


def special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


@pytest.mark.parametrize("single", ["$A <|end|>", "<|system|> $A", "<|user|> $A <|end|>"])
def test_what_a_tokenizer_adds_to_texts_changes_no_score(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], single: str
) -> None:
    other = add_to_texts(models["sft"], tmp_path / "adding", single)
    plain, adding = (run(tmp_path, benchmarks, model) for model in (models["sft"], other))
    assert plain.address != adding.address, "two models"
    assert plain.counts["demo"] == adding.counts["demo"] == 0.5
    assert plain.cost.tokens_in == adding.cost.tokens_in


def test_questions_that_spell_control_tokens_are_counted_and_end_no_turn(
    tmp_path: Path, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    output = Output(Library(str(tmp_path / "store")), Product("collect", 1, Question.content), Settings(), {})
    texts = ["plain", "What does <|end|> mean?", "<|assistant|>2<|end|>"]
    rows = [demo_question(id=text, question=text, answer="1") for text in texts]
    output.write_rows("rows/00000", rows)
    manifest = run(tmp_path, output.finish(), models["base"])
    assert manifest.counts["control_text_prompts"] == 2 and manifest.counts["demo"] == 1.0
    assert "2 prompts spelt a control token" in capfd.readouterr().err
    # Every character of a question is one token, and three more are the template's.
    assert manifest.cost.tokens_in == sum(len(text) + 3 for text in texts)


def test_turns_that_a_template_refuses_are_an_error_before_anything_is_asked(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "ask", lambda *_: pytest.fail("a question was asked"))
    narrow = Path(shutil.copytree(models["sft"], tmp_path / "narrow"))
    refusing = "{%- if messages | length > 1 -%}{{- raise_exception('one turn only') -}}{%- endif -%}"
    template = narrow / "chat_template.jinja"
    template.write_text(refusing + template.read_text())
    rows = list(Library(str(tmp_path / "store")).read_rows(benchmarks, Question))
    shot = Question(benchmark="mmlu", id="d", split="dev", question="?", choices=("a", "b"), answer="B")
    output = Output(Library(str(tmp_path / "store")), Product("collect", 2, Question.content), Settings(), {})
    output.write_rows("rows/00000", [*rows, shot, shot.model_copy(update={"id": "m7", "split": "test"})])
    wanted = [*SETTINGS["benchmarks"], {"name": "mmlu", "max_tokens": 4, "few_shot": 1}]
    with pytest.raises(ModelError, match=r"'mmlu/m7'.*'base' refuses the role 'assistant'.*one turn only") as caught:
        run(tmp_path, output.finish(), str(narrow), benchmarks=wanted)
    assert "few_shot" in caught.value.remedy


@pytest.mark.parametrize(("then", "score"), [("2", 0.0), ("<|end|>", 1.0)])
def test_a_thought_that_the_prompt_opened_and_max_tokens_cut_is_no_answer(
    tmp_path: Path, then: str, score: float
) -> None:
    """Where the model ended its turn by itself, what it said is an answer: it may have learnt to think no more."""
    model = Path(save_model(tmp_path / "model", "2", after="Ċ", then=then))
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|assistant|>", "<|assistant|><think>\n"))
    said = "2222" if then == "2" else "2"
    output = Output(Library(str(tmp_path / "store")), Product("collect", 1, Question.content), Settings(), {})
    output.write_rows("rows/00000", [demo_question(id=f"q{n}", question="Which?", answer=said) for n in range(2)])
    assert run(tmp_path, output.finish(), str(model)).counts["demo"] == score
