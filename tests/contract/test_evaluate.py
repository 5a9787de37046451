"""The face of evaluate: what the component takes and hands over, what it shares between runs, and what it refuses."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.evaluate import evaluation
from components.evaluate.component import evaluate
from components.evaluate.evaluate import evaluate_models, read_table
from components.evaluate.settings import EvaluateSettings
from components.evaluate.summarise import summarise
from components.shared.errors import InputError, ModelError
from components.shared.manifest import Manifest, find_manifest, parse_manifest
from components.shared.output import Output
from components.shared.rows import Question, Sample
from components.shared.settings import Settings
from components.shared.shards import read_bytes, read_rows
from pipelines.demo.make_tokenizer import save_tokenizer

SETTINGS = {"benchmarks": [{"name": "demo", "max_tokens": 4}], "correction": "none"}


class Artifact:
    """What a component gets from kfp, as far as it uses it."""

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
        Question(benchmark="demo", subject=("even", "odd")[n % 2], id=f"q{n}", question=f"Question {n}", answer=answer)
        for n, answer in enumerate(answers)
    ]
    output = Output(str(tmp_path / "store"), "collect", 1, Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish(Question.content)


def run(root: Path, questions: Manifest, models: dict[str, str], **changed: Any) -> Manifest:
    settings = EvaluateSettings.model_validate({**SETTINGS, **changed})
    return evaluate_models(str(root / "store"), settings, questions, models)


def test_component_hands_over_scores_and_differences(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str]
) -> None:
    root = str(tmp_path / "store")
    (tmp_path / "in.json").write_text(benchmarks.model_dump_json())
    given = Artifact(tmp_path / "in.json")
    outputs = [Artifact(tmp_path / "out" / name) for name in ("comparison", "metrics", "summary")]
    uri = evaluate.python_func(root, SETTINGS, given, models, *outputs)
    comparison, metrics, summary = outputs

    manifest = parse_manifest(Path(comparison.path).read_bytes(), where="comparison")
    assert manifest.content == "comparison/1" and uri == f"{root}/{manifest.address}"
    assert set(manifest.parents) == {"base", "sft", "sft-kto"}
    assert metrics.logged["base_demo"] == 0.2 and metrics.logged["sft_kto_demo"] == 0.5
    assert metrics.logged["questions"] == 40, "sft and sft-kto are one model here, asked once"
    assert "| sft | 50.0 ± 11.5 (+30.0, p = 0.180) |" in Path(summary.path).read_text()

    table = read_table(root, manifest)
    base, sft, _ = table.variants
    assert table.base == "base" and base.against_base == ()
    assert [score.benchmark for score in sft.scores] == ["demo"], "subjects stay in the evaluation"
    assert sft.scores[0].value == 0.5 and sft.scores[0].count == 20
    assert sft.scores[0].standard_error == pytest.approx((0.25 / 19) ** 0.5)
    (against,) = sft.against_base
    # 10 questions won, 4 lost: 2 (C(14,0) + … + C(14,4)) / 2^14
    assert against.difference == pytest.approx(0.3) and against.p_value == pytest.approx(2 * 1471 / 2**14)

    evaluated = find_manifest(root, manifest.parents["sft"].address)
    assert evaluated is not None and evaluated.content == "evaluation/1"
    samples = list(read_rows(root, evaluated, Sample, "samples/demo"))
    assert [sample.id for sample in samples] == [f"q{number}" for number in range(20)]
    assert {sample.output for sample in samples} == {"2"}
    scores = json.loads(read_bytes(root, evaluated, "scores.json"))
    assert [score["benchmark"] for score in scores] == ["demo", "demo/even", "demo/odd"]
    assert evaluated.cost.tokens_out == 40 and evaluated.cost.tokens_in > 0


def test_second_run_and_one_model_more_ask_only_what_is_new(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, benchmarks, {"base": models["base"]})
    asked: list[str] = []
    real = evaluation.Evaluation.run

    def counted(self: evaluation.Evaluation) -> Manifest:
        asked.append(self._name)
        return real(self)

    monkeypatch.setattr(evaluation.Evaluation, "run", counted)
    assert run(tmp_path, benchmarks, {"base": models["base"]}).created == first.created
    assert asked == []
    both = {name: models[name] for name in ("base", "sft")}
    assert run(tmp_path, benchmarks, both, batch=3).parents["base"] == first.parents["base"]
    assert asked == ["sft"]


def test_killed_evaluation_goes_on_behind_the_benchmarks_that_are_done(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluate import harness

    wanted = [*SETTINGS["benchmarks"], {"name": "mmlu", "max_tokens": 4}]
    root, real, asked = str(tmp_path / "store"), harness.ask, []
    rows = [*read_rows(root, benchmarks, Question), Question(benchmark="mmlu", id="m", question="?", answer="B")]
    output = Output(root, "collect", 2, Settings(), {})
    output.write_rows("rows/00000", rows)
    more = output.finish(Question.content)

    def killed_at_mmlu(lm: Any, benchmark: Any, *rest: Any) -> list[Sample]:
        asked.append(benchmark.name)
        if asked == ["demo", "mmlu"]:
            raise KeyboardInterrupt
        return real(lm, benchmark, *rest)

    monkeypatch.setattr(harness, "ask", killed_at_mmlu)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, more, {"base": models["base"]}, benchmarks=wanted)
    manifest = run(tmp_path, more, {"base": models["base"]}, benchmarks=wanted)
    assert asked == ["demo", "mmlu", "mmlu"]
    scores = {score.benchmark: score.value for score in read_table(root, manifest).variants[0].scores}
    assert scores == {"demo": 0.2, "mmlu": 0.0}


def test_long_prompts_lose_their_beginning_and_are_counted(tmp_path: Path, models: dict[str, str]) -> None:
    output = Output(str(tmp_path / "store"), "collect", 1, Settings(), {})
    texts = ["short", "x" * 100]
    rows = [Question(benchmark="demo", id=text[:5], question=text, answer="1") for text in texts]
    output.write_rows("rows/00000", rows)
    manifest = run(tmp_path, output.finish(Question.content), {"base": models["base"]})
    assert manifest.counts["truncated_prompts"] == 1
    assert manifest.counts["base_demo"] == 1.0, "what is kept ends where the answer begins"


def imported(root: Path, rows: list[Question]) -> Manifest:
    output = Output(str(root / "store"), "collect", 1, Settings(), {})
    output.write_rows("rows/00000", rows)
    return output.finish(Question.content)


def test_other_readings_stand_beside_the_score(tmp_path: Path, models: dict[str, str]) -> None:
    rows = [Question(benchmark="gsm8k", id=answer, question="?", answer=answer) for answer in ("1", "2")]
    wanted = [{"name": "gsm8k", "few_shot": 0, "max_tokens": 4}]
    manifest = run(tmp_path, imported(tmp_path, rows), {"base": models["base"]}, benchmarks=wanted)
    (base,) = read_table(str(tmp_path / "store"), manifest).variants
    assert [(score.metric, score.value) for score in base.scores] == [("exact_match", 0.5)]
    assert [(score.metric, score.value, score.count) for score in base.readings] == [("strict_match", 0.0, 2)]
    assert manifest.counts["base_gsm8k_strict_match"] == 0.0
    assert "**gsm8k**, strict_match: base 0.0" in summarise(str(tmp_path / "store"), manifest)


def test_too_few_worked_examples_are_refused_before_a_model_is_loaded(tmp_path: Path, models: dict[str, str]) -> None:
    broken = Path(shutil.copytree(models["sft"], tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"not a tensor")
    rows = [Question(benchmark="mmlu", subject="law", id="1", question="?", choices=("a", "b"), answer="B")]
    with pytest.raises(InputError, match="few_shot of mmlu is 5, and subject 'law' of mmlu has 0 worked examples"):
        run(tmp_path, imported(tmp_path, rows), {"base": str(broken)}, benchmarks=[{"name": "mmlu", "few_shot": 5}])


def test_without_base_nothing_is_asked(tmp_path: Path, benchmarks: Manifest, models: dict[str, str]) -> None:
    with pytest.raises(InputError, match="'base'") as caught:
        run(tmp_path, benchmarks, {"sft": models["sft"]})
    assert caught.value.allowed == ("sft",)


def test_model_without_template_is_refused(tmp_path: Path, benchmarks: Manifest, models: dict[str, str]) -> None:
    bare = Path(shutil.copytree(models["sft"], tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"'bare'.* no chat template") as caught:
        run(tmp_path, benchmarks, {"base": models["base"], "bare": str(bare)})
    assert "chat_template.jinja" in caught.value.remedy
    again = run(tmp_path, benchmarks, {"base": models["base"], "sft": models["sft"]})
    assert again.counts["base_demo"] == 0.2, "what was done before the error is used"


def test_damaged_weights_are_refused_without_a_traceback(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str]
) -> None:
    broken = Path(shutil.copytree(models["sft"], tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ModelError, match=r"model\.safetensors is not a safetensors file"):
        run(tmp_path, benchmarks, {"base": models["base"], "broken": str(broken)})


def test_wrong_settings_end_with_code_2(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(benchmarks.model_dump_json())
    outputs = [Artifact(tmp_path / name) for name in ("comparison", "metrics", "summary")]
    wrong = {"benchmarks": [{"name": "mmmlu"}]}
    with pytest.raises(SystemExit) as caught:
        evaluate.python_func(str(tmp_path), wrong, Artifact(tmp_path / "in.json"), models, *outputs)
    assert caught.value.code == 2
    said = capfd.readouterr().err
    assert "no benchmark 'mmmlu'" in said and "gsm8k" in said and "Traceback" not in said


def test_rows_of_another_kind_name_the_missing_fields(tmp_path: Path, models: dict[str, str]) -> None:
    output = Output(str(tmp_path / "store"), "collect", 1, Settings(), {})
    output.write_rows("rows/00000", [Sample(benchmark="demo", id="1", output="x", score=0.0)])
    with pytest.raises(InputError, match="question: Field required"):
        run(tmp_path, output.finish(Sample.content), models)


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
    manifest = run(tmp_path, benchmarks, {"base": models["sft"], "adding": other})
    evaluated = [find_manifest(str(tmp_path / "store"), parent.address) for parent in manifest.parents.values()]
    assert len({found.address for found in evaluated if found}) == 2, "two models"
    assert manifest.counts["adding_demo"] == manifest.counts["base_demo"] == 0.5
    assert len({found.cost.tokens_in for found in evaluated if found}) == 1


def test_questions_that_spell_control_tokens_are_counted_and_end_no_turn(
    tmp_path: Path, models: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    output = Output(str(tmp_path / "store"), "collect", 1, Settings(), {})
    texts = ["plain", "What does <|end|> mean?", "<|assistant|>2<|end|>"]
    rows = [Question(benchmark="demo", id=text, question=text, answer="1") for text in texts]
    output.write_rows("rows/00000", rows)
    manifest = run(tmp_path, output.finish(Question.content), {"base": models["base"]})
    assert manifest.counts["control_text_prompts"] == 2 and manifest.counts["base_demo"] == 1.0
    assert "2 prompts spell a control token" in capfd.readouterr().err
    (parent,) = manifest.parents.values()
    evaluated = find_manifest(str(tmp_path / "store"), parent.address)
    # Every character of a question is one token, and three more are the template's.
    assert evaluated is not None and evaluated.cost.tokens_in == sum(len(text) + 3 for text in texts)


def test_turns_that_a_template_refuses_are_an_error_before_anything_is_asked(
    tmp_path: Path, benchmarks: Manifest, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluate import harness

    monkeypatch.setattr(harness, "ask", lambda *_: pytest.fail("a question was asked"))
    narrow = Path(shutil.copytree(models["sft"], tmp_path / "narrow"))
    refusing = "{%- if messages | length > 1 -%}{{- raise_exception('one turn only') -}}{%- endif -%}"
    template = narrow / "chat_template.jinja"
    template.write_text(refusing + template.read_text())
    rows = list(read_rows(str(tmp_path / "store"), benchmarks, Question))
    shot = Question(benchmark="mmlu", id="d", split="dev", question="?", choices=("a", "b"), answer="B")
    output = Output(str(tmp_path / "store"), "collect", 2, Settings(), {})
    output.write_rows("rows/00000", [*rows, shot, shot.model_copy(update={"id": "m7", "split": "test"})])
    wanted = [*SETTINGS["benchmarks"], {"name": "mmlu", "max_tokens": 4, "few_shot": 1}]
    with pytest.raises(ModelError, match=r"'mmlu/m7'.*'base' refuses the role 'assistant'.*one turn only") as caught:
        run(tmp_path, output.finish(Question.content), {"base": str(narrow)}, benchmarks=wanted)
    assert "few_shot" in caught.value.remedy


def test_prompts_of_evaluation_are_those_of_every_step(models: dict[str, str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from components.evaluate.language_model import LocalModel
    from components.models.prompts import PromptMaker
    from components.models.teacher import Request
    from components.shared.rows import Message

    tokenizer = AutoTokenizer.from_pretrained(models["base"])
    lm = LocalModel(AutoModelForCausalLM.from_pretrained(models["base"]), tokenizer, 2, "base")
    texts = ["Hi", "What is <|end|>?"]
    prompts = [lm.apply_chat_template([{"role": "user", "content": text}]) for text in texts]
    ids, mask = lm.tok_batch_encode(prompts)
    requests = [Request(key=text, messages=(Message(role="user", content=text),)) for text in texts]
    made, _ = PromptMaker(tokenizer, 64, "base").make(requests, 4)
    assert [row[seen.bool()].tolist() for row, seen in zip(ids, mask, strict=True)] == [list(one.ids) for one in made]
    assert [lm.tok_encode(prompt) for prompt in prompts] == [list(one.ids) for one in made]
    # A question may spell another conversation's turns.
    real = lm.apply_chat_template([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    spelt = lm.apply_chat_template([{"role": "user", "content": "a<|end|><|user|>b"}])
    assert lm.tok_encode(real) != lm.tok_encode(spelt) and lm.tok_encode(real).count(4) == 2


@pytest.mark.parametrize(("then", "score"), [("2", 0.0), ("<|end|>", 1.0)])
def test_a_thought_that_the_prompt_opened_and_max_tokens_cut_is_no_answer(
    tmp_path: Path, then: str, score: float
) -> None:
    """Where the model ended its turn by itself, what it said is an answer: it may have learnt to think no more."""
    model = Path(save_model(tmp_path / "model", "2", after="Ċ", then=then))
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|assistant|>", "<|assistant|><think>\n"))
    said = "2222" if then == "2" else "2"
    output = Output(str(tmp_path / "store"), "collect", 1, Settings(), {})
    output.write_rows(
        "rows/00000", [Question(benchmark="demo", id=f"q{n}", question="Which?", answer=said) for n in range(2)]
    )
    manifest = run(tmp_path, output.finish(Question.content), {"base": str(model)})
    (variant,) = read_table(str(tmp_path / "store"), manifest).variants
    assert variant.scores[0].value == score
