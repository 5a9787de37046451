"""The loss is on the response and its end token alone, whatever the chat template looks like."""

from typing import Any

import pytest

from components.models.forward.example import Example
from components.shared.errors import EmptyDataError, ModelError
from components.shared.rows import KtoRow, Message, Scores, SftRow
from components.train.batches import build_dataset
from components.train.batches.build_dataset import Template
from components.train.batches.examples import Examples
from components.train.batches.split import split_batch
from components.train.methods.kto import METHOD, KtoSettings
from components.train.methods.sft import SftSettings, columns_with_labels

SETTINGS = SftSettings(max_length=64, precision="fp32")
COUNTS = {"rows_refused": 0, "rows_with_control_text": 0, "rows_without_thought": 0}


def sft_row(question: str, answer: str, system: str = "") -> SftRow:
    before = (Message(role="system", content=system),) if system else ()
    prompt = (*before, Message(role="user", content=question))
    return SftRow(id="1", prompt=prompt, completion=answer, origin="teacher", scores=Scores())


def examples_of(template: Template, rows: list[SftRow], settings: SftSettings) -> Examples[Example]:
    return build_dataset.build_examples(template, rows, settings, lambda _, *tokens: Example(*tokens))


def collated(tokenizer: Any, rows: list[SftRow]) -> dict[str, Any]:
    """The batch that TRL's own collator makes of our columns, as in training."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    columns = columns_with_labels(examples_of(Template(tokenizer), rows, SETTINGS).kept)
    examples = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return dict(DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)(examples))


@pytest.mark.parametrize("kind", ["plain", "marked", "thinking", "endless"])
def test_labels_are_the_response_and_its_end(tokenizer: Any, templates: dict[str, str], kind: str) -> None:
    tokenizer.chat_template = templates[kind]
    batch = collated(tokenizer, [sft_row("What is 2+2?", "four 4", system="Be brief."), sft_row("Hi", "Good day, you")])
    labelled = [tokenizer.decode([i for i in row if i != -100]) for row in batch["labels"].tolist()]
    assert labelled == ["four 4<|end|>", "Good day, you<|end|>"]
    for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
        assert all(label in {-100, token} for token, label in zip(ids, labels, strict=True))


@pytest.mark.parametrize("kind", ["plain", "marked", "thinking"])
def test_the_prompt_is_what_generation_sees(tokenizer: Any, templates: dict[str, str], kind: str) -> None:
    tokenizer.chat_template = templates[kind]
    row = sft_row("What is 2+2?", "4")
    (example,) = examples_of(Template(tokenizer), [row], SETTINGS).kept
    messages = [message.model_dump() for message in row.prompt]
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(list(example.prompt)) == asked


def test_generation_may_end_at_another_token(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"].replace("<|end|>", "<|pad|>")
    (example,) = examples_of(Template(tokenizer, frozenset({0})), [sft_row("Hi", "Ho")], SETTINGS).kept
    assert tokenizer.decode(list(example.completion)) == "Ho<|pad|>"


def test_long_rows_are_truncated_or_dropped_and_counted(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    rows = [sft_row("Hi", "a" * 100), sft_row("b" * 100, "no room"), sft_row("Hi", "short"), sft_row("Hi", "  ")]
    truncated = examples_of(Template(tokenizer), rows, SETTINGS)
    assert [len(example) for example in truncated.kept] == [64, 12]
    assert truncated.counts == COUNTS | {"rows": 2, "rows_truncated": 1, "rows_dropped": 2}
    assert tokenizer.eos_token_id not in truncated.kept[0].completion
    dropped = examples_of(Template(tokenizer), rows, SETTINGS.model_copy(update={"over_long": "drop"}))
    assert dropped.counts == COUNTS | {"rows": 1, "rows_truncated": 0, "rows_dropped": 3}
    assert truncated.notes() == ["too long: 1 row truncated, 2 rows dropped"]


def test_every_example_has_a_response_token(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    rows = [sft_row("q" * length, "answer") for length in range(40, 70)]
    examples = examples_of(Template(tokenizer), rows, SETTINGS)
    assert min(len(example.completion) for example in examples.kept) == 1
    assert examples.dropped > 0


def test_nothing_left_is_an_error(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    with pytest.raises(EmptyDataError, match="no row is left to train on: 1 have a prompt of 64 tokens"):
        examples_of(Template(tokenizer), [sft_row("q" * 80, "a")], SETTINGS)


def test_a_model_without_a_template_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="no chat template") as raised:
        Template(tokenizer)
    assert "instruction-tuned" in raised.value.remedy


def test_rows_that_the_template_refuses_are_dropped_and_counted(tokenizer: Any, templates: dict[str, str]) -> None:
    refusing = "{%- if messages[0].role == 'system' -%}{{- raise_exception('no system role') -}}{%- endif -%}"
    tokenizer.chat_template = refusing + templates["plain"]
    rows = [sft_row("Hi", "Ho"), sft_row("Hi", "Ho", system="Be brief."), sft_row("Hi", "Ho", system="Be kind.")]
    examples = examples_of(Template(tokenizer, reference="some/model"), rows, SETTINGS)
    assert examples.counts == COUNTS | {"rows": 1, "rows_truncated": 0, "rows_dropped": 0, "rows_refused": 2}
    (line,) = examples.notes()
    assert line.startswith("2 rows dropped, the first: row '1'")
    assert "'some/model'" in line and "'system'" in line and "no system role" in line


def test_rows_that_are_all_refused_are_an_error(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{- raise_exception('no system role') -}}"
    with pytest.raises(EmptyDataError, match=r"1 are refused, the first: row '1'.*no system role") as raised:
        examples_of(Template(tokenizer), [sft_row("Hi", "Ho", system="Be brief.")], SETTINGS)
    assert "template" in raised.value.remedy


def test_rows_that_spell_control_tokens_are_counted(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    rows = [sft_row("Hi", "no<|end|>"), sft_row("<|user|>", "no"), sft_row("Hi", "no")]
    examples = examples_of(Template(tokenizer), rows, SETTINGS)
    assert examples.counts["rows_with_control_text"] == 2 and "2 rows spelt a control token" in examples.notes()[0]
    end = tokenizer.eos_token_id
    assert [list(example.completion).count(end) for example in examples.kept] == [1, 1, 1]
    assert [list(example.prompt).count(end) for example in examples.kept] == [1, 1, 1]


def test_thoughts_that_the_prompt_has_closed_are_counted(tokenizer: Any, templates: dict[str, str]) -> None:
    empty = "<|assistant|><think>\\n\\n</think>\\n\\n"
    tokenizer.chat_template = templates["thinking"].replace("<|assistant|>(no thought)", empty)
    rows = [sft_row("Hi", "<think>\nWell.\n</think>\n\nHo"), sft_row("Hi", "<think>\nWell."), sft_row("Hi", "Ho")]
    examples = examples_of(Template(tokenizer), rows, SETTINGS)
    assert [tokenizer.decode(list(example.completion)) for example in examples.kept] == ["Ho<|end|>", "Ho<|end|>"]
    assert examples.counts == COUNTS | {
        "rows": 2,
        "rows_truncated": 0,
        "rows_dropped": 1,
        "rows_without_thought": 1,
    }


def test_unicode_survives(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["marked"]
    (example,) = examples_of(Template(tokenizer), [sft_row("你好", "再见 🙂")], SETTINGS).kept
    assert tokenizer.decode(list(example.prompt) + list(example.completion)).endswith("再见 🙂<|end|>")


def test_kto_rows_keep_their_label(tokenizer: Any, templates: dict[str, str]) -> None:
    tokenizer.chat_template = templates["plain"]
    rows = [
        KtoRow(
            id=str(number),
            prompt=(Message(role="user", content=f"Hi {number}"),),
            completion="Ho" * (1 + number),
            label=bool(number % 2),
            origin="student",
            scores=Scores(),
        )
        for number in range(4)
    ]
    settings = KtoSettings.model_validate({"max_length": 64, "global_batch": 4, "kto": {"kl_batch": 4}})
    data = METHOD.prepare(rows, Template(tokenizer), settings, split_batch(settings, ranks=1))
    labels = {len(ids): label for ids, label in zip(data.columns["completion_ids"], data.columns["label"], strict=True)}
    assert [labels[length] for length in sorted(labels)] == [False, True, False, True]
    assert (data.counts["rows"], data.counts["desirable"]) == (4, 2)
