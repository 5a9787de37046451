"""The report counts what was chosen."""

import pytest

from components.select.report import HIGH_RATIO, LOW_RATIO, balance


@pytest.mark.parametrize(("desirable", "undesirable"), [(100, 100), (300, 100), (100, 300), (130, 100), (1, 0)])
def test_recommended_weights_bring_the_ratio_within_its_bounds(desirable: int, undesirable: int) -> None:
    found = balance(desirable, undesirable)
    assert found["desirable_weight"] >= 1 and found["undesirable_weight"] >= 1
    if undesirable:
        ratio = found["desirable_weight"] * desirable / (found["undesirable_weight"] * undesirable)
        assert LOW_RATIO - 1e-3 <= ratio <= HIGH_RATIO + 1e-3


def test_a_balanced_set_is_left_as_it_is() -> None:
    assert balance(100, 100)["desirable_weight"] == balance(130, 100)["undesirable_weight"] == 1.0
