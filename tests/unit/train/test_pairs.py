"""Pairs as they are trained on: what becomes of the rows, and the same steps on any number of ranks."""

from typing import Any

import pytest

from components.shared.errors import EmptyDataError
from components.shared.rows import Message, Pair, Scores
from components.train.batches.build_dataset import Template
from components.train.batches.split import split_batch
from components.train.methods.dpo import METHOD, DpoSettings
from components.train.methods.method import TrainingData


def pair(number: int, chosen: str, rejected: str, question: str = "Hi") -> Pair:
    return Pair(
        id=str(number),
        prompt=(Message(role="user", content=question),),
        chosen=chosen,
        rejected=rejected,
        chosen_origin="teacher",
        rejected_origin="student",
        chosen_scores=Scores(),
        rejected_scores=Scores(),
        margin=0.0,
    )


def prepared(tokenizer: Any, template: str, rows: list[Pair], ranks: int = 1, **values: Any) -> TrainingData:
    tokenizer.chat_template = template
    given = {"global_batch": 4, "max_length": 48, "launch": {"processes_per_node": ranks}, **values}
    settings = DpoSettings.model_validate(given)
    return METHOD.prepare(rows, Template(tokenizer), settings, split_batch(settings, ranks))


def test_a_pair_is_a_prompt_and_two_responses(tokenizer: Any, templates: dict[str, str]) -> None:
    data = prepared(tokenizer, templates["plain"], [pair(1, "good", "bad!!")])
    texts = {name: tokenizer.decode(ids[0]) for name, ids in data.columns.items()}
    assert texts["prompt_ids"].endswith("Hi<|end|>\n<|assistant|>")
    assert (texts["chosen_ids"], texts["rejected_ids"]) == ("good<|end|>", "bad!!<|end|>")
    prompt, chosen, rejected = (len(ids[0]) for ids in data.columns.values())
    assert data.lengths.tolist() == [2 * prompt + chosen + rejected]


def test_what_becomes_of_pairs_is_counted_and_noted(tokenizer: Any, templates: dict[str, str]) -> None:
    rows = [
        pair(1, "good", "bad"),
        pair(2, "a" * 60, "bad"),
        pair(3, "good", " "),
        pair(4, "same", "same"),
        pair(5, "a" * 60, "a" * 70),
        pair(6, "good", "no<|end|>"),
    ]
    data = prepared(tokenizer, templates["plain"], rows)
    wanted = {"rows": 3, "rows_truncated": 1, "rows_dropped": 1, "pairs_equal": 2, "rows_with_control_text": 1}
    assert {name: data.counts[name] for name in wanted} == wanted
    assert data.notes[-1].startswith("2 pairs dropped: their responses are equal within max_length")
    dropped = prepared(tokenizer, templates["plain"], rows, over_long="drop").counts
    assert (dropped["rows"], dropped["rows_dropped"], dropped["pairs_equal"]) == (2, 3, 1)


def test_only_equal_pairs_are_an_error(tokenizer: Any, templates: dict[str, str]) -> None:
    with pytest.raises(EmptyDataError, match="no row is left to train on: 1 have equal responses"):
        prepared(tokenizer, templates["plain"], [pair(1, "same", "same")])


def test_ranks_do_not_change_a_steps_pairs(tokenizer: Any, templates: dict[str, str]) -> None:
    rows = [pair(number, "a" * (number + 1), "b" * (9 - number)) for number in range(9)]
    one, two = (prepared(tokenizer, templates["plain"], rows, ranks, epochs=3) for ranks in (1, 2))
    steps = [[sorted(step) for step in data.order.reshape(-1, 4).tolist()] for data in (one, two)]
    assert steps[0] == steps[1]
    assert len(steps[0]) == 9 and steps[0][:3] != steps[0][3:6]
