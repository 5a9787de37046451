import numpy as np
import pytest

from components.curate.text.runs import Sequences
from components.curate.text.token_hashes import TokenHasher
from components.shared.text.scripts import sixths
from components.shared.text.words import tokenise


def sequences(*texts: list[str]) -> Sequences:
    batch = TokenHasher().batch(texts)
    return Sequences(batch.hashes, np.concatenate([sixths(text) for text in texts]), batch.left())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one two 3", 3.0),
        ("北京大学", 8 / 3),
        ("ひらがな", 2.0),
        ("한국어를", 2.0),
        ("ภาษาไทย", 7 / 3),
        ("दिन और", 2.0),
    ],
)
def test_words_of_each_script(text: str, words: float) -> None:
    assert sixths(tokenise(text)).sum() / 6 == pytest.approx(words)


def test_a_run_of_words_takes_as_many_tokens_as_its_script_needs() -> None:
    runs = sequences(["a", "b", "c"], ["中", "国", "人", "x", "y"]).of_words(2)
    assert runs.lengths[runs.valid].tolist() == [2, 2, 3, 3, 3, 2]
    assert runs.valid.tolist() == [True, True, False, True, True, True, True, False]


def test_equal_runs_have_equal_hashes_wherever_they_are() -> None:
    several = sequences(["x", "a", "b", "c"], ["a", "b", "c", "y"], ["b", "a", "c"])
    for runs in (several.of_tokens(3), several.of_words(3)):
        assert runs.hashes[1] == runs.hashes[4]
        assert len(set(runs.hashes[runs.valid].tolist())) == runs.valid.sum() - 1


def test_covered_positions() -> None:
    runs = sequences([*"abcdefg"]).of_tokens(2)
    chosen = np.array([True, False, False, True, True, False, False])
    assert runs.covered(chosen).tolist() == [True, True, False, True, True, True, False]


def test_texts_shorter_than_a_run_have_no_runs() -> None:
    assert not sequences(["a"], []).of_tokens(5).valid.any()
    assert not sequences(["a"], []).of_words(5).valid.any()
