import numpy as np
import pytest

from components.curate.balance import Balance, balance, priorities

LABELS = np.array([0] * 100 + [1] * 20 + [2] * 10 + [3] * 9)


def chosen(labels: np.ndarray = LABELS, seed: int = 0, **changes: object) -> Balance:
    order = priorities([f"id{number}" for number in range(len(labels))], seed)
    settings = {"rare_below": 10, "cap": None, "cap_of_median": None, "maximum_rows": None} | changes
    return balance(labels, order, **settings)  # type: ignore[arg-type]


def left(result: Balance, labels: np.ndarray = LABELS) -> list[int]:
    keeps = ~(result.rare | result.over_cap | result.over_maximum)
    return np.bincount(labels[keeps], minlength=int(labels.max()) + 1).tolist()


def test_labels_with_fewer_than_ten_rows_are_dropped() -> None:
    result = chosen()
    assert left(result) == [100, 20, 10, 0]
    assert result.rare.sum() == 9
    assert result.cap == 0


@pytest.mark.parametrize(
    ("changes", "cap"),
    [({"cap": 15}, 15), ({"cap_of_median": 1.5}, 30), ({"cap": 15, "cap_of_median": 1.5}, 15)],
)
def test_no_label_has_more_rows_than_the_cap(changes: dict[str, float], cap: int) -> None:
    result = chosen(**changes)
    assert result.cap == cap
    assert left(result) == [min(count, cap) for count in (100, 20, 10)] + [0]


def test_the_median_is_that_of_labels_that_are_not_rare() -> None:
    assert chosen(np.array([0] * 40 + [1] * 20 + list(range(2, 100))), cap_of_median=1.0).cap == 30


def test_sampling_is_proportional_and_exact() -> None:
    assert left(chosen(maximum_rows=65)) == [49, 10, 6, 0]
    assert sum(left(chosen(maximum_rows=64))) == 64


def test_sampling_keeps_a_row_of_every_label_if_possible() -> None:
    assert left(chosen(maximum_rows=3)) == [1, 1, 1, 0]
    assert sum(left(chosen(maximum_rows=2))) == 2


def test_nothing_is_dropped_below_the_maximum() -> None:
    assert not chosen(maximum_rows=130).over_maximum.any()


def test_the_choice_depends_only_on_ids_and_seed() -> None:
    one, same, other = chosen(cap=10), chosen(cap=10), chosen(cap=10, seed=1)
    assert (one.over_cap == same.over_cap).all()
    assert (one.over_cap != other.over_cap).any()
    ids = ["b", "a", "c"]
    assert sorted(priorities(ids, 5).tolist()) == sorted(priorities(ids[::-1], 5).tolist())


def test_negative_seed() -> None:
    assert priorities(["a"], -1).tolist() != priorities(["a"], 1).tolist()
