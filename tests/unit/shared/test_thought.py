"""Reasoning is split from answers, and nothing else is."""

import pytest

from components.shared.thought import Parted, split_thought


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
