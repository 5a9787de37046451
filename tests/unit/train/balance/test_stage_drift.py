"""When the cut of a model counts as one that no longer fits."""

import pytest

from components.train.balance.stage_drift import DRIFT, StageDrift, slowdown


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 1), (3, 3), 1),
        ((1, 1), (1, 2), 1.5),
        ((1.5, 1), (1.5, 1), 1),
        ((1, 1, 1, 1), (1, 1, 1, 4), 3.25),
    ],
)
def test_how_much_longer_a_step_takes_than_with_another_cut(
    before: tuple[float, ...], now: tuple[float, ...], expected: float
) -> None:
    """Two equal processes, one of them halved: 2, and 2 / 1.5 with the work divided again. A cut's rest is none."""
    assert slowdown(before, now) == pytest.approx(expected)


def test_a_process_that_gets_idle_by_being_faster_is_no_drift() -> None:
    assert slowdown((1.0, 1.0), (1.0, 0.9)) < DRIFT


def test_the_log_names_the_rank_that_has_slowed() -> None:
    told = str(StageDrift(step=40, before=(2.0, 1.0), now=(2.0, 3.0), slowdown=1.8))
    assert told == (
        "the layers of the stages no longer fit: at step 40 the passes of rank 1 take 3.00 times as long as at first, "
        "and a step about 1.80 times as long as with layers cut again"
    )
