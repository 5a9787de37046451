import pytest

from components.curate.diversity import distinct, entropy, measure_diversity


def test_entropy_of_even_and_uneven_labels() -> None:
    assert entropy({"a": 5, "b": 5, "c": 5, "d": 5}) == (2.0, 1.0)
    assert entropy({"a": 3, "b": 1}) == (pytest.approx(0.8113), pytest.approx(0.8113))
    assert entropy({"a": 7}) == (0.0, 0.0)
    assert entropy({"a": 7, "b": 0}) == (0.0, 0.0)
    assert entropy({}) == (0.0, 0.0)


def test_distinct_counts_different_runs_within_texts() -> None:
    texts = [["a", "b", "a"], ["a", "b"], []]
    assert distinct(texts) == [pytest.approx(2 / 5), pytest.approx(2 / 3, abs=1e-4), 1.0]


def test_words_by_type() -> None:
    sample = [("sum", ["add", "1", "and", "1"]), ("sum", ["add", "2", "and", "1"]), ("word", ["spell", "horse"])]
    found = measure_diversity(
        {"sum": 2, "word": 1}, {"maths": 2, "language": 1}, {"maths / sum": 2, "x / y": 1}, sample
    )
    assert found.words_by_type == {"sum": 0.5, "word": 1.0}
    assert (found.rows, found.types, found.primary_labels, found.labels) == (3, 2, 2, 2)
    assert found.mean_tokens == pytest.approx(3.33)
    assert found.type_entropy_bits == pytest.approx(0.9183)
