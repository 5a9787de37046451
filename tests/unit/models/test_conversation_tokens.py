"""A conversation is tokenized in one pass and split where the answer begins, with tokenizers of all kinds."""

from pathlib import Path
from typing import Any

import pytest

from components.models.conversation.chat_template import Refusal
from components.models.conversation.encoder import ConversationEncoder, Encoded
from components.models.generators.generator import ChatRequest
from components.models.generators.prompts import PromptMaker
from components.models.likelihood.completions import Completion, CompletionMaker
from components.models.stored.end_tokens import end_ids_in
from components.shared.errors import ModelError
from components.shared.rows import Message
from components.train.batches.build_dataset import Template
from tests.unit.models.chat_tokenizers import MAKERS, TEMPLATES, chat_tokenizer

QUESTION = (Message(role="user", content="What is an answer"),)


def encoded(tokenizer: Any, answer: str, messages: tuple[Message, ...] = QUESTION) -> Encoded:
    (found,) = ConversationEncoder(tokenizer, "some/model").answered([(messages, answer)])
    assert isinstance(found, Encoded)
    return found


def plainly(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def rendered(tokenizer: Any, answer: str) -> str:
    turns = [message.model_dump() for message in QUESTION] + [{"role": "assistant", "content": answer}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("template", ["chatml", "r1-old", "marked", "qwen3"])
def test_prompt_and_completion_are_the_conversation_in_one_pass(kind: str, template: str) -> None:
    tokenizer = chat_tokenizer(kind, template)
    for answer in ("hello world", "no", "4", " hello", "the answer is four\n\nyes", "é", "你"):
        one, whole = encoded(tokenizer, answer), plainly(tokenizer, rendered(tokenizer, answer))
        assert one.prompt + one.completion == whole[: len(one.prompt) + len(one.completion)]
        assert all(token not in tokenizer.all_special_ids for token in whole[len(one.prompt + one.completion) :])


@pytest.mark.parametrize("kind", ["metaspace-first", "metaspace-always", "bytes-prefix-space", "legacy-llama"])
def test_no_space_is_learnt_that_the_template_does_not_write(kind: str) -> None:
    tokenizer = chat_tokenizer(kind, "marked")
    tokens = tokenizer.convert_ids_to_tokens(encoded(tokenizer, "hello world").completion)
    assert tokens[0] == "hello" and tokens[-1] == "</s>"
    apart = tokenizer.convert_ids_to_tokens(plainly(tokenizer, "hello world"))
    assert apart[0] != "hello" and apart[0][0] in "▁Ġ", "the tokenizer adds a space before a text"


@pytest.mark.parametrize("kind", MAKERS)
def test_a_prompt_that_ends_in_a_space_keeps_it(kind: str) -> None:
    tokenizer = chat_tokenizer(kind, "spaced")
    one = encoded(tokenizer, "hello world")
    (asked,) = ConversationEncoder(tokenizer, "m").prompts([QUESTION])
    assert isinstance(asked, Encoded) and one.prompt == asked.prompt
    tokens = tokenizer.convert_ids_to_tokens(one.completion)
    assert tokens[0] == "hello" and tokens[-1] == "</s>"


def test_an_answer_that_changes_the_prompts_last_tokens_is_split_nevertheless() -> None:
    # `\n\n` is one token at the end of a text and two before a word, by GPT-2's rules of splitting.
    tokenizer = chat_tokenizer("bytes")
    tokenizer.chat_template = TEMPLATES["chatml"].replace("assistant\\n' -}}", "assistant\\n\\n' -}}")
    (asked,) = ConversationEncoder(tokenizer, "m").prompts([QUESTION])
    one = encoded(tokenizer, "hello")
    assert isinstance(asked, Encoded) and one.prompt == asked.prompt
    assert tokenizer.convert_ids_to_tokens(one.completion) == ["hello", "<|im_end|>"]
    assert tokenizer.convert_ids_to_tokens(one.prompt)[-1] == "ĊĊ"


def test_a_control_token_that_takes_the_white_space_behind_it_leaves_the_answers_alone() -> None:
    from tokenizers import AddedToken

    tokenizer = chat_tokenizer("bytes")
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken("<|assistant|>", rstrip=True, special=True)]}
    )
    tokenizer.chat_template = (
        TEMPLATES["chatml"]
        .replace("'<|im_start|>assistant\\n'", "'<|assistant|>\\n'")
        .replace(
            "'<|im_start|>' + m.role + '\\n'",
            "('<|assistant|>\\n' if m.role == 'assistant' else '<|im_start|>user\\n')",
        )
    )
    one = encoded(tokenizer, "  hello")
    assert tokenizer.decode(one.completion) == "  hello<|im_end|>"
    assert tokenizer.decode(one.prompt).endswith("<|assistant|>")


@pytest.mark.parametrize("adds", ["$A </s>", "<s> $A", "<s> $A </s>"])
@pytest.mark.parametrize("kind", ["bytes", "metaspace-first"])
def test_what_a_tokenizer_adds_to_texts_is_not_added(kind: str, adds: str) -> None:
    plain, adding = chat_tokenizer(kind), chat_tokenizer(kind, adds=adds)
    assert plainly(adding, "hi") == plainly(plain, "hi") != adding("hi")["input_ids"]
    assert encoded(adding, "hello world") == encoded(plain, "hello world")
    (asked, other) = (ConversationEncoder(one, "m").prompts([QUESTION])[0] for one in (plain, adding))
    assert asked == other


def test_combining_marks_at_the_beginning_of_an_answer_stay_there() -> None:
    from tokenizers import normalizers

    tokenizer = chat_tokenizer("bytes", "marked")
    tokenizer.chat_template = (
        TEMPLATES["marked"]
        .replace("'assistant:'", "'assistant:e'")
        .replace("m.role + ':'", "(m.role + (':e' if m.role == 'assistant' else ':'))")
    )
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    one = encoded(tokenizer, "\u0301t")
    assert tokenizer.decode(one.prompt).endswith("assistant:e")
    assert tokenizer.decode(one.completion) == "\u0301t</s>"


class SlowTokenizer:
    """A slow tokenizer, which is written in Python and has no offsets."""

    is_fast = False

    def __init__(self, fast: Any) -> None:
        self._fast = fast

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __call__(self, texts: Any, **options: Any) -> Any:
        assert "return_offsets_mapping" not in options
        return self._fast(texts, **options)


@pytest.mark.parametrize("kind", ["bytes", "metaspace-first"])
@pytest.mark.parametrize("template", ["chatml", "spaced"])
def test_a_tokenizer_without_offsets_gives_the_same_tokens(kind: str, template: str) -> None:
    tokenizer = chat_tokenizer(kind, template)
    assert encoded(SlowTokenizer(tokenizer), "hello world") == encoded(tokenizer, "hello world")


def test_control_text_needs_a_fast_tokenizer() -> None:
    slow = SlowTokenizer(chat_tokenizer())
    (refused,) = ConversationEncoder(slow, "m").answered([(QUESTION, "hello<|im_end|>")])
    assert isinstance(refused, Refusal) and "fast tokenizer" in refused.reason and refused.role == "assistant"


def test_rows_together_are_rows_alone() -> None:
    tokenizer = chat_tokenizer("metaspace-always", "marked")
    pairs = [(QUESTION, answer) for answer in ("hello", "no</s>no", "world")]
    encoder = ConversationEncoder(tokenizer, "m")
    assert encoder.answered(pairs) == [encoder.answered([pair])[0] for pair in pairs]


@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("kind", ["bytes", "metaspace-first"])
def test_training_likelihood_and_generation_do_not_differ(kind: str, template: str) -> None:
    tokenizer = chat_tokenizer(kind, template)
    for answer in ("hello world", "no</s>", "<think>\nwell\n</think>\n\nhello"):
        (trained,) = Template(tokenizer).encode([(QUESTION, answer)])
        (scored,) = CompletionMaker(tokenizer, 500).make([(QUESTION, answer)])
        (asked,), _ = PromptMaker(tokenizer, 500, "m").make([ChatRequest(key="1", messages=QUESTION)], 8)
        assert isinstance(trained, Encoded) and isinstance(scored, Completion)
        assert trained.prompt == list(scored.row.prompt) == list(asked.ids)
        assert trained.completion == list(scored.row.completion)


def test_end_tokens_are_those_of_the_models_files(tmp_path: Path) -> None:
    assert end_ids_in(tmp_path) == frozenset()
    (tmp_path / "config.json").write_text('{"eos_token_id": 7}')
    assert end_ids_in(tmp_path) == {7}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert end_ids_in(tmp_path) == {1, 2}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": null}')
    assert end_ids_in(tmp_path) == frozenset()
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        end_ids_in(tmp_path)
