"""Errors give the bad value, the rule, the allowed values and the remedy."""

import pytest

from components.shared.errors import DamagedError, ExistsError, NotFoundError, SettingsError, StoreError, TutelageError


def test_every_part_is_on_its_own_line() -> None:
    error = TutelageError("port 'x' is wrong", rule="a port is a number", remedy="correct it", allowed=("1", "2"))
    assert str(error).splitlines() == [
        "port 'x' is wrong",
        "  rule: a port is a number",
        "  allowed: 1, 2",
        "  remedy: correct it",
    ]


def test_step_comes_first_and_missing_parts_leave_nothing() -> None:
    assert str(TutelageError("no rows", step="curate")) == "curate: no rows"


def test_wrong_settings_end_with_two_everything_else_with_one() -> None:
    assert SettingsError("x").exit_code == 2
    assert {kind("x").exit_code for kind in (TutelageError, StoreError, DamagedError)} == {1}


@pytest.mark.parametrize("kind", [NotFoundError, ExistsError])
def test_store_errors_can_be_caught_together(kind: type[StoreError]) -> None:
    with pytest.raises(StoreError):
        raise kind("x")
