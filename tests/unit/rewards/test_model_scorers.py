"""Log-probabilities, rewards and safety from models, against plain computations with a tiny one."""

import math
import re
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import Encoded
from components.models.likelihood.likelihood import LikelihoodModel, LogProbability
from components.models.not_finite import NotFiniteError
from components.models.reference import as_parent
from components.rewards.scorers.likelihood import Likelihood
from components.rewards.scorers.model_perplexity import ModelPerplexity
from components.rewards.scorers.reward_model import RewardModel
from components.rewards.scorers.safety_classifier import SafetyClassifier
from components.rewards.scorers.scorer import Scorer
from components.rewards.scorers.sequence_classifier import SequenceClassifier
from components.shared.errors import ModelError, SettingsError
from components.shared.rows import Answered, Message, Response
from demo.make_tokenizer import END, make_tokenizer, save_tokenizer

torch.set_num_threads(1)
CONTEXT = 256


def config(**changed: Any) -> LlamaConfig:
    tokenizer = make_tokenizer()
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.pad_token_id,
        **changed,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    LlamaForCausalLM(config(initializer_range=0.3)).save_pretrained(made)
    save_tokenizer(made)
    return made


def classifier(folder: Path, **changed: Any) -> str:
    torch.manual_seed(1)
    LlamaForSequenceClassification(config(initializer_range=0.3, **changed)).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def asked(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def row(*texts: str) -> Answered:
    responses = tuple(Response(origin="teacher", text=text) for text in texts)
    return Answered(
        id="1", source="s", line=1, instruction="why?", type="t", primary="p", secondary="s", responses=responses
    )


def measured(scorer: Scorer, *texts: str) -> Any:
    with closing(scorer.open()) as measure:
        return measure.measure([row(*texts)])[0]


def log_probabilities(folder: Path, pairs: list[Any], batch_tokens: int | None = None) -> list[Any]:
    """Of completions under the model in a folder."""
    model = LikelihoodModel.load(str(folder), batch_tokens)
    try:
        return model.log_probabilities(pairs)
    finally:
        model.close()


def scored(found: list[LogProbability | Refusal]) -> list[LogProbability]:
    assert all(isinstance(one, LogProbability) for one in found)
    return [one for one in found if isinstance(one, LogProbability)]


PAIRS = [
    (asked("2 + 2?"), "4"),
    (asked("Name the capital of France, and say why."), "Paris, for it is so."),
    (asked("你好"), "你好！"),
    (asked("2 + 2?"), "5"),
    (asked("2 + 2?"), "4"),
]


def test_log_probabilities_are_those_of_single_plain_passes(folder: Path) -> None:
    found = scored(log_probabilities(folder, PAIRS, batch_tokens=100))
    model, tokenizer = LlamaForCausalLM.from_pretrained(folder), make_tokenizer()
    for (messages, answer), one in zip(PAIRS, found, strict=True):
        prompt = tokenizer(f"<|user|>{messages[0].content}<|end|><|assistant|>")["input_ids"]
        completion = tokenizer(f"{answer}<|end|>")["input_ids"]
        with torch.no_grad():
            table = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
        plain = sum(float(table[place, token]) for place, token in zip(places, completion, strict=True))
        assert one.tokens == len(completion) and one.total == pytest.approx(plain, abs=1e-3)
        assert one.mean == pytest.approx(plain / len(completion), abs=1e-3)


def test_equal_pairs_are_computed_once_and_batches_do_not_matter(folder: Path) -> None:
    model = LikelihoodModel.load(str(folder))
    whole = scored(model.log_probabilities(PAIRS))
    once = model.tokens_in
    assert model.log_probabilities(PAIRS * 3) == whole * 3
    assert model.tokens_in == 2 * once > 0
    alone = [scored(model.log_probabilities([pair]))[0] for pair in PAIRS]
    assert [one.total for one in whole] == pytest.approx([one.total for one in alone], abs=1e-4)
    assert model.log_probabilities([]) == []


def test_answers_to_one_prompt_share_a_pass_over_it(folder: Path) -> None:
    pairs = [(asked("Which of these is it? " * 3), answer) for answer in ("this", "that", "neither of the two", "")]
    shared, apart = LikelihoodModel.load(str(folder)), LikelihoodModel.load(str(folder))
    expected = [scored(apart.log_probabilities([pair]))[0].total for pair in pairs]
    assert [one.total for one in scored(shared.log_probabilities(pairs))] == pytest.approx(expected, abs=1e-4)
    assert shared.tokens_in < 0.5 * apart.tokens_in


def test_a_model_with_a_window_shares_prompts_too(tmp_path: Path) -> None:
    values = config().to_dict() | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    wanted = Qwen2Config().to_dict().keys() - {"layer_types", "model_type", "architectures"}
    Qwen2ForCausalLM(Qwen2Config(**{name: value for name, value in values.items() if name in wanted})).save_pretrained(
        tmp_path
    )
    save_tokenizer(tmp_path)
    together = scored(log_probabilities(tmp_path, PAIRS))
    alone = [scored(log_probabilities(tmp_path, [pair]))[0] for pair in PAIRS]
    assert [one.total for one in together] == pytest.approx([one.total for one in alone], abs=1e-4)


def test_a_precision_is_another_measurement_with_near_values(folder: Path) -> None:
    plain, half = ModelPerplexity(model=str(folder)), ModelPerplexity(model=str(folder), precision="bfloat16")
    parents = {"model": as_parent(str(folder))}
    assert plain.measurement(parents) != half.measurement(parents)
    values = [measured(scorer, "because").values[0] for scorer in (plain, half)]
    assert values[0] != values[1] == pytest.approx(values[0], rel=0.02)


def test_long_conversations_are_truncated_to_the_context(folder: Path) -> None:
    model = LikelihoodModel.load(str(folder))
    found = scored(model.log_probabilities([(asked("x" * 1000), "y"), (asked("x"), "y" * 1000)]))
    assert found[0].tokens == 2 and found[1].tokens == CONTEXT - 1
    assert all(math.isfinite(one.total) for one in found)


def test_a_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        if path.name != "chat_template.jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match="no chat template"):
        LikelihoodModel.load(str(tmp_path))


def test_perplexity_and_likelihood_are_two_views_of_one_measurement(folder: Path) -> None:
    perplexity, likelihood = ModelPerplexity(model=str(folder)), Likelihood(model=str(folder))
    parents = {"model": as_parent(str(folder))}
    assert perplexity.measurement(parents) == likelihood.measurement(parents)
    found = measured(perplexity, "because", "")
    assert found.values[1] is None and found.tokens == (8, 0)
    assert perplexity.value(found.values[0]) == pytest.approx(math.exp(-found.values[0]), rel=1e-4)
    assert likelihood.value(found.values[0]) == pytest.approx(math.exp(found.values[0]), abs=1e-5)
    assert perplexity.value(-1e6) == pytest.approx(1e9) and perplexity.value(None) is None


def test_the_reward_model_gives_its_logit(tmp_path: Path) -> None:
    scorer = RewardModel(model=classifier(tmp_path, num_labels=1), scale=2.0)
    found = measured(scorer, "because", "no")
    text = "<|user|>why?<|end|><|assistant|>because<|end|>"
    with torch.no_grad():
        plain = LlamaForSequenceClassification.from_pretrained(tmp_path)(**make_tokenizer()(text, return_tensors="pt"))
    assert found.values[0] == pytest.approx(float(plain.logits[0, 0]), abs=1e-3) and found.values[0] != found.values[1]
    assert scorer.value(2.0) == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)


def test_a_classifier_is_not_accepted_as_a_reward_model(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="classifier with 2 classes"):
        RewardModel(model=classifier(tmp_path, num_labels=2)).open()


@pytest.mark.parametrize("reads", ["response", "exchange"])
def test_the_safety_classifier_takes_its_unsafe_classes(tmp_path: Path, reads: str) -> None:
    names = {0: "fine", 1: "violence", 2: "crime"}
    model = classifier(tmp_path, num_labels=3, id2label=names, label2id={name: i for i, name in names.items()})
    scorer = SafetyClassifier.model_validate({"model": model, "unsafe_labels": ["violence", "crime"], "reads": reads})
    found = measured(scorer, "because", "")
    question = "<|user|>why?<|end|>"
    text = ("" if reads == "response" else question) + "<|assistant|>because<|end|>"
    plain = LlamaForSequenceClassification.from_pretrained(tmp_path)
    for value, read in ((found.values[0], text), (found.request, question)):
        with torch.no_grad():
            fine = plain(**make_tokenizer()(read, return_tensors="pt")).logits[0].softmax(-1)[0]
        assert value == pytest.approx(float(fine), abs=1e-3)
    assert found.values[1] is None


def overflowing(kind: type[Any], source: str, copy: Path) -> str:
    """A copy of a model with finite weights whose first layer's output is infinite, and what follows NaN."""
    shutil.copytree(source, copy)
    model = kind.from_pretrained(copy)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(3e38)
        model.model.layers[0].mlp.up_proj.weight.fill_(3e38)
    model.save_pretrained(copy)
    return str(copy)


@pytest.mark.parametrize("kind", ["perplexity", "reward", "safety"])
def test_scores_by_values_that_are_not_finite_are_refused_with_their_row(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    """Clipped to a range, NaN would be a perfect score or the worst one."""
    is_classifier = kind != "perplexity"
    source = classifier(tmp_path / "reward", num_labels=1) if is_classifier else str(folder)
    architecture = LlamaForSequenceClassification if is_classifier else LlamaForCausalLM
    model = overflowing(architecture, source, tmp_path / "overflowing")
    scorer: Scorer = {
        "perplexity": lambda: ModelPerplexity(model=model),
        "reward": lambda: RewardModel(model=model),
        "safety": lambda: SafetyClassifier(model=model, unsafe_labels=("LABEL_0",)),
    }[kind]()
    first, second = row("because", "no").model_copy(update={"id": "row-7"}), row("well")
    with (
        closing(scorer.open()) as measure,
        pytest.raises(NotFiniteError, match=rf"{re.escape(repr(model))} computes .* first in row 'row-7'"),
    ):
        measure.measure([first, second])


def test_unknown_classes_are_refused_with_those_that_are_known(tmp_path: Path) -> None:
    model = classifier(tmp_path, num_labels=2, id2label={0: "safe", 1: "unsafe"}, label2id={"safe": 0, "unsafe": 1})
    with pytest.raises(SettingsError, match="lacks the classes toxic") as caught:
        SafetyClassifier(model=model, unsafe_labels=("toxic",)).open()
    assert caught.value.allowed == ("safe", "unsafe")


NO_SYSTEM = "{%- if messages[0].role == 'system' -%}{{- raise_exception('no system role') -}}{%- endif -%}"


def refusing(folder: Path, copy: Path) -> str:
    """A copy of a model whose chat template takes no system message."""
    shutil.copytree(folder, copy)
    template = copy / "chat_template.jinja"
    template.write_text(NO_SYSTEM + template.read_text())
    return str(copy)


@pytest.mark.parametrize("kind", ["perplexity", "reward", "safety"])
def test_rows_that_a_template_refuses_are_measured_without_values(folder: Path, tmp_path: Path, kind: str) -> None:
    reward = classifier(tmp_path / "reward", num_labels=1)
    model = refusing(folder if kind == "perplexity" else Path(reward), tmp_path / "refusing")
    scorer: Scorer = {
        "perplexity": lambda: ModelPerplexity(model=model),
        "reward": lambda: RewardModel(model=model),
        "safety": lambda: SafetyClassifier(model=model, unsafe_labels=("LABEL_0",)),
    }[kind]()
    fine, system = row("because", ""), row("because", "no").model_copy(update={"id": "row-7", "system": "Be brief."})
    with closing(scorer.open()) as measure:
        one, two = measure.measure([fine, system])
    assert one.values[0] is not None and one.values[1] is None and not one.refused
    assert two.values == (None, None) and two.tokens == (0, 0)
    assert all(part in two.refused for part in ("'row-7'", repr(model), "'system'", "no system role"))


@pytest.mark.parametrize("templated", [True, False])
def test_control_text_is_text_to_a_classifier(tmp_path: Path, templated: bool) -> None:
    model = classifier(tmp_path, num_labels=1)
    if not templated:
        (tmp_path / "chat_template.jinja").unlink()
    loaded = SequenceClassifier.load(model, 100)
    answer = "no<|end|>"
    (found,) = loaded.encode([[*asked("why?"), Message(role="assistant", content=answer)]])
    assert isinstance(found, Encoded)
    end = loaded.tokenizer.convert_tokens_to_ids(END)
    assert found.prompt.count(end) == (2 if templated else 0)
    assert loaded.tokenizer.decode(found.prompt).count(END) == (3 if templated else 1)


def test_likelihood_of_control_text_is_that_of_text(folder: Path) -> None:
    plain, spelt = scored(log_probabilities(folder, [(asked("why?"), "no"), (asked("why?"), "no<|end|>")]))
    assert (plain.tokens, spelt.tokens) == (3, 3 + len("<|end|>"))
    assert (plain.control_text, spelt.control_text) == (False, True)


def test_likelihood_ends_where_the_models_generation_does(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "generation_config.json").write_text('{"eos_token_id": [4, 0]}')
    template = tmp_path / "other" / "chat_template.jinja"
    template.write_text(
        template.read_text().replace("message['content'] + '<|end|>'", "message['content'] + '<|pad|>'")
    )
    (one,) = scored(log_probabilities(tmp_path / "other", [(asked("why?"), "no")]))
    assert one.tokens == 3, "the answer and the one end token that the template writes"
