"""Reasoning is split from answers, and nothing else is."""

import pytest

from components.shared.thought import Parted, opens_thought, split_thought, with_thought


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("Paris.", Parted("", "Paris.")),
        ("  Paris.\n", Parted("", "  Paris.\n")),
        ("<think>\nIt is Paris.\n</think>\n\nParis.", Parted("It is Paris.", "Paris.")),
        ("It is Paris.\n</think>\n\nParis.", Parted("It is Paris.", "Paris.")),
        ("<think>\nIt is", Parted("It is", "", unfinished=True)),
        ("<think></think>Paris.", Parted("", "Paris.")),
        ("<think>a</think>\nOne.\n<think>b</think>\nTwo.", Parted("a\n\nb", "One.\n\nTwo.")),
        ("[THINK]a[/THINK]Paris.", Parted("a", "Paris.")),
        ("<|begin_of_thought|>a<|end_of_thought|>Paris.", Parted("a", "Paris.")),
        ("Put it in <think> and </think>.", Parted("", "Put it in <think> and </think>.")),
        ("Put it between <think> and a line.", Parted("", "Put it between <think> and a line.")),
    ],
)
def test_reasoning_is_split_from_the_answer(text: str, parted: Parted) -> None:
    assert split_thought(text) == parted


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("It is Paris.\n</think>\n\nParis.", Parted("It is Paris.", "Paris.")),
        ("The capital of", Parted("The capital of", "", unfinished=True)),
        ("<think>\nThe capital of", Parted("The capital of", "", unfinished=True)),
        ("<think>\nIt is Paris.\n</think>\nParis.", Parted("It is Paris.", "Paris.")),
        ("", Parted("", "", unfinished=True)),
    ],
)
def test_a_reply_begins_within_the_thought_that_its_prompt_opened(text: str, parted: Parted) -> None:
    assert split_thought(text, opened=True) == parted


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("<seed:think>a</seed:think>Paris.", Parted("a", "Paris.")),
        ("◁think▷a◁/think▷Paris.", Parted("a", "Paris.")),
        ("<|START_THINKING|>a<|END_THINKING|>Paris.", Parted("a", "Paris.")),
        ("<|channel|>analysis<|message|>a<|end|>Paris.", Parted("a", "Paris.")),
        ("<|channel>thought\na<channel|>Paris.", Parted("a", "Paris.")),
        # Phi's end of turn closes no thought that was not opened.
        ("Paris.<|end|>", Parted("", "Paris.<|end|>")),
    ],
)
def test_other_models_tags(text: str, parted: Parted) -> None:
    assert split_thought(text) == parted


def test_prompts_that_open_a_thought() -> None:
    assert opens_thought("<|assistant|><think>\n")
    assert opens_thought("[/INST][THINK]")
    assert not opens_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not opens_thought("What does <think> mean?<|im_end|>\n<|im_start|>assistant\n")


def test_an_answer_with_its_thought_is_split_into_the_same_two() -> None:
    assert split_thought(with_thought("It is Paris.", "Paris.")) == Parted("It is Paris.", "Paris.")
    assert with_thought("", "Paris.") == "Paris."
