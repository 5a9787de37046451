"""Losses and gradients of our trainers are those of TRL's own, from the same rows, through TRL's own preparation.

Ours are the packed trainer, and TRL's on padded rows, which trains models that cannot read packed ones.
"""

from collections.abc import Callable
from copy import deepcopy
from math import exp, log1p
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch
from transformers import TrainingArguments

from components.shared.rows import KtoRow, Message, Pair, Scores, SftRow
from components.train.batches.build_dataset import Template
from components.train.batches.split import split_batch
from components.train.engine.packed_trainer import PackedTrainer
from components.train.methods.registry import method_of, parse_train_settings

TEMPLATE = (
    "{%- for m in messages -%}{{- '<|' + m['role'] + '|>' + m['content'] + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)
ANSWERS = [
    ("a sun", "nothing at all"),
    ("moonlight", "no"),
    ("trees and rivers", "stone"),
    ("birds", "a cloud of fish"),
]
SCORES = {"chosen_scores": Scores(), "rejected_scores": Scores(), "margin": 0.0}
PAIRS = [
    Pair(
        id=str(number),
        prompt=(Message(role="user", content="Say something" + "!" * number),),
        chosen=chosen,
        rejected=rejected,
        chosen_origin="teacher",
        rejected_origin="student",
        **SCORES,
    )
    for number, (chosen, rejected) in enumerate(ANSWERS)
]
JUDGED = [
    KtoRow(
        id=row.id,
        prompt=row.prompt,
        completion=row.chosen if good else row.rejected,
        label=good,
        origin="teacher",
        scores=Scores(),
    )
    for row, good in zip(PAIRS, (True, False, True, True), strict=True)
]
DEMONSTRATIONS = [
    SftRow(id=row.id, prompt=row.prompt, completion=row.chosen, origin="teacher", scores=Scores()) for row in PAIRS
]
ROWS_OF = {"kto": JUDGED, "sft": DEMONSTRATIONS}


@pytest.fixture(scope="module")
def start() -> Any:
    """A random Llama: 2 layers of width 32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=261, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    return LlamaForCausalLM(config).eval()


def trained(start: Any) -> Any:
    """The model some steps later: without a difference from the reference, most losses would be constant."""
    model = deepcopy(start)
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def move(trainer: Any, start: Any) -> None:
    """Let the trainer's model be the trained one."""
    trainer.model.load_state_dict(trained(start).state_dict())
    trainer.model.train()


def common(folder: Path) -> dict[str, Any]:
    """Arguments of a trainer on the CPU in fp32, as every trainer needs them."""
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "gradient_checkpointing": False,
        "per_device_train_batch_size": len(PAIRS),
    }


Kind = Literal["packed", "padded"]
KINDS = get_args(Kind)


def ours(
    start: Any, tokenizer: Any, folder: Path, rows: list[Any] | None = None, kind: Kind = "packed", **values: Any
) -> Any:
    """Our trainer, its reference log-probs computed, with the trained model; and the rows in its order."""
    from datasets import Dataset

    settings = parse_train_settings({"global_batch": len(PAIRS), "max_length": 128, "precision": "fp32", **values})
    method = method_of(settings)
    chosen = rows or ROWS_OF.get(settings.method, PAIRS)
    data = method.prepare(chosen, Template(tokenizer), settings, split_batch(settings, ranks=1))
    given = {
        "model": deepcopy(start),
        "train_dataset": Dataset.from_dict(data.columns),
        "processing_class": tokenizer,
    }
    if kind == "packed":
        arguments = TrainingArguments(**common(folder), remove_unused_columns=False)
        objective = method.objective(settings, data)
        trainer = type("Named", (PackedTrainer,), {"task": "test"})(args=arguments, objective=objective, **given)
        trainer.begin_packing()
        trainer.add_reference(budget=None)
    else:
        arguments = method.arguments(common(folder), settings, data)
        given["train_dataset"] = method.padded_rows(given["train_dataset"])
        trainer = type("Named", (method.trainer_type(settings),), {"task": "test"})(args=arguments, **given)
    move(trainer, start)
    return trainer


def metrics(trainer: Any) -> dict[str, float]:
    """The means of what a trainer would log of the forward passes since it was made."""
    if isinstance(trainer, PackedTrainer):
        return trainer.metrics()
    mode = "train" if trainer.model.training else "eval"
    return {name: sum(values) / len(values) for name, values in trainer._metrics[mode].items()}


def loss_and_gradient(trainer: Any, batch: int) -> tuple[float, float]:
    """The mean loss of all rows in forward passes of `batch` rows, and the norm of its gradient."""
    rows = [trainer.train_dataset[place] for place in range(len(trainer.train_dataset))]
    parts = [rows[place : place + batch] for place in range(0, len(rows), batch)]
    total = 0.0
    for part in parts:
        loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(trainer.data_collator(part))) / len(parts)
        loss.backward()
        total += loss.item()
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in trainer.model.parameters()])).item()
    return total, norm


def preferences(rows: list[Pair]) -> Any:
    """The pairs as TRL reads them."""
    from datasets import Dataset

    def turn(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    prompts = [[message.model_dump() for message in row.prompt] for row in rows]
    columns = {"chosen": [turn(row.chosen) for row in rows], "rejected": [turn(row.rejected) for row in rows]}
    return Dataset.from_dict({"prompt": prompts, **columns})


def trl_dpo(start: Any, tokenizer: Any, folder: Path, **arguments: Any) -> Any:
    from trl import DPOConfig, DPOTrainer

    return DPOTrainer(
        model=trained(start),
        ref_model=deepcopy(start),
        args=DPOConfig(**common(folder), **arguments),
        train_dataset=preferences(PAIRS),
        processing_class=tokenizer,
    )


def trl_orpo(start: Any, tokenizer: Any, folder: Path, **arguments: Any) -> Any:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    config = ORPOConfig(**common(folder), **arguments)
    data = preferences(PAIRS)
    return ORPOTrainer(model=trained(start), args=config, train_dataset=data, processing_class=tokenizer)


def trl_simpo(start: Any, tokenizer: Any, folder: Path, **arguments: Any) -> Any:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    config = CPOConfig(**common(folder), loss_type="simpo", cpo_alpha=0.0, **arguments)
    data = preferences(PAIRS)
    return CPOTrainer(model=trained(start), args=config, train_dataset=data, processing_class=tokenizer)


Make = Callable[..., Any]
CASES: dict[str, tuple[dict[str, Any], Make, dict[str, Any], int]] = {
    "sigmoid": ({"beta": 0.3}, trl_dpo, {"loss_type": "sigmoid", "beta": 0.3}, 4),
    "ipo": ({}, trl_dpo, {"loss_type": "ipo", "beta": 0.1}, 4),
    "hinge": ({}, trl_dpo, {"loss_type": "hinge", "beta": 0.1}, 4),
    "robust": ({"label_smoothing": 0.1}, trl_dpo, {"loss_type": "robust", "label_smoothing": 0.1}, 4),
    "apo_zero": ({}, trl_dpo, {"loss_type": "apo_zero", "beta": 0.05}, 4),
    "apo_down": ({}, trl_dpo, {"loss_type": "apo_down", "beta": 0.1}, 4),
    "sigmoid_norm": ({}, trl_dpo, {"loss_type": "sigmoid_norm", "beta": 5.0}, 4),
    # TRL's mean over the tokens of a forward pass is the mean over pairs where a pass holds one of them.
    "rpo_alpha": ({"rpo_alpha": 0.7}, trl_dpo, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]}, 1),
    "orpo": ({"weight": 0.2}, trl_orpo, {"beta": 0.2}, 1),
    "simpo": ({"beta": 2.0, "gamma_beta_ratio": 0.4}, trl_simpo, {"beta": 2.0, "simpo_gamma": 0.8}, 4),
}
"""By the loss: our options, TRL's trainer, its arguments, and the rows of its forward passes."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_loss_on_pairs_is_trls(start: Any, tokenizer: Any, tmp_path: Path, case: str, kind: Kind) -> None:
    tokenizer.chat_template = TEMPLATE
    options, make, arguments, batch = CASES[case]
    method = case if case in ("orpo", "simpo") else "dpo"
    chosen = options if method != "dpo" or case == "rpo_alpha" else {**options, "loss": case}
    theirs = loss_and_gradient(make(start, tokenizer, tmp_path, **arguments), batch)
    mine = loss_and_gradient(ours(start, tokenizer, tmp_path, kind=kind, method=method, **{method: chosen}), batch=4)
    assert mine == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo"])
def test_the_split_of_a_step_does_not_change_it(
    start: Any, tokenizer: Any, tmp_path: Path, method: str, kind: Kind
) -> None:
    tokenizer.chat_template = TEMPLATE
    options = {"dpo": {"rpo_alpha": 0.5}} if method == "dpo" else {}
    results = [
        loss_and_gradient(ours(start, tokenizer, tmp_path, kind=kind, method=method, **options), batch)
        for batch in (1, 2, 4)
    ]
    assert results[0] == pytest.approx(results[2], rel=1e-5)
    assert results[1] == pytest.approx(results[2], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_smoothed_labels_are_conservative_dpo(start: Any, tokenizer: Any, tmp_path: Path, kind: Kind) -> None:
    """(1 - e) of the loss, and e of the loss with the responses exchanged: trl's sigmoid alone ignores e."""
    tokenizer.chat_template = TEMPLATE
    options = {"label_smoothing": 0.2}
    trainer = ours(start, tokenizer, tmp_path, rows=PAIRS[:1], kind=kind, method="dpo", dpo=options)
    loss, _ = loss_and_gradient(trainer, batch=1)
    margin = metrics(trainer)["rewards/margins"]
    assert loss == pytest.approx(0.8 * log1p(exp(-margin)) + 0.2 * log1p(exp(margin)), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
def test_a_loss_on_judged_rows_is_trls(start: Any, tokenizer: Any, tmp_path: Path, loss: str, kind: Kind) -> None:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    tokenizer.chat_template = TEMPLATE
    options = {"loss": loss, "kl_batch": 4, "balance": False, "undesirable_weight": 1.5}
    mine = ours(start, tokenizer, tmp_path, kind=kind, method="kto", kto=options)
    prompts = [tokenizer.decode(ids) for ids in mine.train_dataset["prompt_ids"]]
    by_prompt = {f"<|user|>{row.prompt[0].content}<|end|><|assistant|>": row for row in JUDGED}
    rows = [by_prompt[prompt] for prompt in prompts]
    columns = {
        "prompt": [[message.model_dump() for message in row.prompt] for row in rows],
        "completion": [[{"role": "assistant", "content": row.completion}] for row in rows],
        "label": [row.label for row in rows],
    }
    arguments = KTOConfig(**common(tmp_path), loss_type=loss, undesirable_weight=1.5)
    theirs = KTOTrainer(
        model=trained(start),
        ref_model=deepcopy(start),
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
    )
    assert loss_and_gradient(mine, batch=4) == pytest.approx(loss_and_gradient(theirs, batch=4), rel=1e-5)
    if loss == "kto":
        assert metrics(mine)["kl"] == pytest.approx(metrics(theirs)["kl"], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_on_demonstrations_is_trls(start: Any, tokenizer: Any, tmp_path: Path, kind: Kind) -> None:
    """The mean over the labels of all rows, which TRL's trainer finds where a forward pass holds them all."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer.chat_template = TEMPLATE
    columns = {
        "prompt": [[message.model_dump() for message in row.prompt] for row in DEMONSTRATIONS],
        "completion": [[{"role": "assistant", "content": row.completion}] for row in DEMONSTRATIONS],
    }
    theirs = SFTTrainer(
        model=trained(start),
        args=SFTConfig(**common(tmp_path)),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
    )
    mine = loss_and_gradient(ours(start, tokenizer, tmp_path, kind=kind, method="sft"), batch=4)
    assert mine == pytest.approx(loss_and_gradient(theirs, batch=4), rel=1e-5)


METHODS: dict[str, dict[str, Any]] = {
    "sft": {},
    "kto": {"kl_batch": 4},
    "dpo": {"rpo_alpha": 0.5},
    "orpo": {},
    "simpo": {},
}


@pytest.mark.parametrize("method", METHODS)
def test_metrics_of_packed_rows_are_those_of_padded_ones(
    start: Any, tokenizer: Any, tmp_path: Path, method: str
) -> None:
    """All that go into losses.jsonl."""
    tokenizer.chat_template = TEMPLATE
    options = {method: METHODS[method]} if METHODS[method] else {}
    both = [ours(start, tokenizer, tmp_path, kind=kind, method=method, **options) for kind in KINDS]
    for trainer in both:
        loss_and_gradient(trainer, batch=4)
    packed, padded = map(metrics, both)
    recorded = method_of(parse_train_settings({"method": method})).metrics.keys() & padded.keys()
    # Margins are small differences of sums in fp32.
    expected = pytest.approx({name: padded[name] for name in recorded}, rel=1e-5, abs=2e-6)
    assert {name: packed[name] for name in recorded} == expected
    assert recorded


def test_the_last_mismatched_pair_is_truncated_as_trls(start: Any, tokenizer: Any, tmp_path: Path) -> None:
    """A prompt with another row's response may exceed max_length."""
    tokenizer.chat_template = TEMPLATE
    long = [row.model_copy(update={"completion": row.completion * (1 + 6 * (n == 0))}) for n, row in enumerate(JUDGED)]
    options = {"method": "kto", "kto": {"kl_batch": 4}, "max_length": 128}
    both = [ours(start, tokenizer, tmp_path, rows=long, kind=kind, **options) for kind in KINDS]
    mine, theirs = (loss_and_gradient(trainer, batch=4) for trainer in both)
    assert mine == pytest.approx(theirs, rel=1e-5)
