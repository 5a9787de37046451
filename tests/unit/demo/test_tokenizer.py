"""The tokenizer that teacher and student share, as an ordinary `AutoTokenizer` loads it."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from demo.make_heldout import HERE
from demo.make_tokenizer import save_tokenizer

SHARED_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
CHAT = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "Add 2 and 3."},
    {"role": "assistant", "content": "5"},
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(HERE / "teacher")


@pytest.mark.parametrize(
    "text",
    [
        " two  spaces , and a comma .",
        "你好，世界。",
        "🙂👩‍👩‍👧 flags 🇫🇷",
        "tab\tand\r\n\nlines ",
        "don't can 't",
        "\x00\x7f",
        "ñ e\u0301",
        "",
    ],
)
def test_any_text_round_trips_with_one_token_for_each_byte(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text.encode())


def test_chat_template_renders_messages(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert text == "<|system|>Answer briefly.<|end|><|user|>Add 2 and 3.<|end|><|assistant|>5<|end|>"
    prompt = tokenizer.apply_chat_template(CHAT[1:2], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|>Add 2 and 3.<|end|><|assistant|>"


def test_assistant_mask_covers_the_reply_and_its_end(tokenizer: Any) -> None:
    encoded = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    kept = [token for token, mask in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(kept) == "5<|end|>"


def test_unknown_role_is_refused(tokenizer: Any) -> None:
    with pytest.raises(Exception, match="none of system, user, assistant"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_teacher_and_student_share_the_files_that_the_script_writes(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    for name in SHARED_FILES:
        made = (tmp_path / name).read_bytes()
        assert made == (HERE / "teacher" / name).read_bytes() == (HERE / "student" / name).read_bytes()
