"""The balance of right and wrong, and the caps, against enumerated cases."""

from itertools import product

import pytest

from components.critique.mix import balanced, under_caps

SHARES = (0.0, 0.2, 0.29, 0.5, 0.9)


@pytest.mark.parametrize(("right", "wrong", "share"), list(product(range(5), range(5), SHARES)))
def test_the_balance_is_the_largest_with_that_share(right: int, wrong: int, share: float) -> None:
    taken_right, taken_wrong = balanced(right, wrong, share)
    total = taken_right + taken_wrong
    assert 0 <= taken_right <= right and 0 <= taken_wrong <= wrong
    assert abs(taken_right - share * total) <= 0.5 + 1e-9
    more = total + 1
    assert share * more > right + 1e-9 or (1 - share) * more > wrong + 1e-9


@pytest.mark.parametrize(
    ("right", "wrong", "share", "most", "taken"),
    [
        (3, 6, 0.5, None, (3, 3)),
        (3, 6, 0.5, 4, (2, 2)),
        (0, 6, 0.5, None, (0, 0)),
        (6, 0, 0.5, None, (0, 0)),
        (6, 6, 0.0, None, (0, 6)),
        (10, 100, 0.1, None, (10, 90)),
        (100, 100, 0.29, 100, (29, 71)),
    ],
)
def test_known_balances(right: int, wrong: int, share: float, most: int | None, taken: tuple[int, int]) -> None:
    assert balanced(right, wrong, share, most) == taken


@pytest.mark.parametrize(("traces", "first", "second"), list(product((0, 1, 5, 10), range(0, 9, 2), range(0, 9, 2))))
def test_the_caps_are_the_largest_that_hold(traces: int, first: int, second: int) -> None:
    shares = (0.2, 0.3)

    def holds(one: int, other: int) -> bool:
        total = traces + one + other
        return one <= shares[0] * total + 1e-9 and other <= shares[1] * total + 1e-9

    allowed = [pair for pair in product(range(first + 1), range(second + 1)) if holds(*pair)]
    most = max(one for one, _ in allowed), max(other for _, other in allowed)
    assert under_caps(traces, (first, second), shares) == most


def test_shares_are_decimal_numbers() -> None:
    assert under_caps(71, (100, 0), (0.29, 0.0)) == (29, 0)
