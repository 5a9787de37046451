"""What a packed batch holds."""

from array import array

import pytest
import torch

from components.models.forward.captured_keys import CapturedKeys
from components.models.forward.example import Example
from components.models.forward.pack import pack, pack_continuations
from components.shared.errors import InputError


def row(prompt: list[int], completion: list[int]) -> Example:
    return Example(array("i", prompt), array("i", completion))


ROWS = [row([1, 2], [3, 4]), row([5], [6, 7, 8]), row([1, 2], [9])]


def test_rows_that_share_a_prompt_share_its_tokens() -> None:
    packed = pack(ROWS)
    assert packed.input_ids.tolist() == [[1, 2, 3, 5, 6, 7]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 0, 1, 2]]
    assert packed.segments.lengths == (2, 1, 3)
    assert packed.segments.key_lengths == (2, 3, 3)
    assert packed.prompt_ends == [1, 3, 1]


def test_labels_are_the_completions_in_the_order_of_the_rows() -> None:
    packed = pack(ROWS)
    assert packed.label_ids.tolist() == [3, 4, 6, 7, 8, 9]
    assert packed.label_positions.tolist() == [1, 2, 3, 4, 5, 1]
    assert packed.label_counts.tolist() == [2, 3, 1]


def test_sums_are_those_of_each_row() -> None:
    log_probs = torch.arange(6.0, requires_grad=True)
    sums = pack(ROWS).sum_by_row(log_probs)
    assert sums.tolist() == [1.0, 9.0, 5.0]
    (sums * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == [1.0, 1.0, 2.0, 2.0, 2.0, 3.0]


def test_without_shared_prompts_each_row_is_a_segment() -> None:
    packed = pack(ROWS, share_prompts=False)
    assert packed.input_ids.tolist() == [[1, 2, 3, 5, 6, 7, 1, 2]]
    assert packed.segments.key_lengths == packed.segments.lengths == (3, 3, 2)


def test_continuations_hold_no_prompts_and_go_on_in_their_positions() -> None:
    continued = pack_continuations(pack(ROWS), [[6, 7, 8], [9], [3, 4]], CapturedKeys())
    assert continued.input_ids.tolist() == [[6, 7, 3]]
    assert continued.position_ids.tolist() == [[2, 3, 2]]
    assert continued.segments.key_lengths == (4, 3)
    # Three prompts' ends come first.
    assert continued.label_positions.tolist() == [0, 3, 4, 1, 2, 5]
    assert continued.label_ids.tolist() == [6, 7, 8, 9, 3, 4]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "no rows"),
        ([row([], [1])], "row 0 .* empty prompt"),
        ([ROWS[0], row([1], [])], "row 1 .* empty completion"),
    ],
)
def test_incomplete_rows_are_refused(rows: list[Example], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        pack(rows)


def test_an_empty_continuation_is_refused() -> None:
    with pytest.raises(InputError, match=r"row 1 .* empty completion"):
        pack_continuations(pack(ROWS), [[6], [], [3]], CapturedKeys())
