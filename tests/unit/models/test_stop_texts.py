"""Texts that end an answer, in every backend."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from components.models.generators.generator import ChatRequest, Sampling
from components.models.generators.settle_reply import Written, settle_reply
from components.models.generators.stop_texts import StopTexts
from components.models.generators.transformers import TransformersGenerator, TransformersSettings
from components.shared.rows import Message

STOP = ("\nQ:", "\n\nQuestion:")


@pytest.mark.parametrize(
    ("written", "truncated", "text", "finish"),
    [
        ("A: 5.\nQ: And", True, "A: 5.", "stop"),
        ("A: 5.\n\nQuestion: x\nQ: y", False, "A: 5.", "stop"),
        ("A: 5. Q: And", True, "A: 5. Q: And", "length"),
        ("A: 5.", False, "A: 5.", "stop"),
        ("\nQ:", True, "", "stop"),
    ],
)
def test_an_answer_ends_before_the_first_of_the_texts(written: str, truncated: bool, text: str, finish: str) -> None:
    reply = settle_reply("k", Written(written, truncated=truncated), stop=STOP, may_be_empty=True)
    assert (reply.text, reply.finish, reply.mended) == (text, finish, False)


def flags(folder: Path, prompt: str, answers: list[str], stop: tuple[str, ...]) -> tuple[list[bool], dict[int, int]]:
    """Feed answers of one length token by token, as `generate` does; the last flags, and where rows stopped."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer([prompt + answer for answer in answers], add_special_tokens=False, return_tensors="pt")["input_ids"]
    width = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    criterion = StopTexts(tokenizer, stop, frozenset({0}), width)
    found = torch.zeros(len(answers), dtype=torch.bool)
    for end in range(width + 1, ids.shape[1] + 1):
        found = criterion(ids[:, :end], None)
    return found.tolist(), criterion.lengths


def test_rows_stop_where_their_text_is_complete_and_the_prompt_does_not_count(model_folder: Path) -> None:
    answers = ["5.\nQ:..", "Q: 5...", "5. Q:\nQ"]
    assert flags(model_folder, "How many?\n", answers, ("\nQ:",)) == ([True, False, False], {0: 5})


def test_characters_of_several_tokens_and_white_space_end_an_answer(model_folder: Path) -> None:
    assert flags(model_folder, "?", ["ab中c", "ab下c"], ("b中",)) == ([True, False], {0: 5})
    assert flags(model_folder, "?", ["ab\n\nc", "ab\ncd"], ("\n\n",)) == ([True, False], {0: 4})


def test_transformers_stops_generating(model_folder: Path) -> None:
    loaded = TransformersGenerator.open(TransformersSettings(model=str(model_folder), batch=2))
    asked = [ChatRequest(key=text, messages=(Message(role="user", content=text),)) for text in ("one", "two", "six")]
    free = {reply.key: reply for reply in loaded.answer(asked, Sampling(max_tokens=60))}
    stop = free["two"].text[5:8]
    ended = {reply.key: reply for reply in loaded.answer(asked, Sampling(max_tokens=60, stop=(stop,)))}
    for key, reply in ended.items():
        assert reply.text == free[key].text.split(stop)[0]
    assert ended["two"].finish == "stop" and ended["two"].tokens_out < 20 < free["two"].tokens_out
