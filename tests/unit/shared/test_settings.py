"""Settings refuse what they do not know, and know what makes an output."""

from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from components.shared.settings import Settings


class Inner(Settings):
    apart_from_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = "n"
    uri: str = "here"


class Outer(Settings):
    apart_from_key: ClassVar[frozenset[str]] = frozenset({"workers"})

    rows: int = Field(3, ge=1)
    share: float = 0.5
    workers: int = 2
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = Field({})


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="row"):
        Outer.model_validate({"row": 3})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Outer().rows = 4  # type: ignore[misc]


def test_numbers_of_a_pipeline_come_back_as_integers() -> None:
    """Kubeflow's parameters are protobuf doubles."""
    assert Outer.model_validate({"rows": 3.0}).rows == 3
    with pytest.raises(ValidationError):
        Outer.model_validate({"rows": 3.5})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        Outer(share=value)


def test_key_leaves_out_where_and_how_fast_at_every_depth() -> None:
    moved = Outer(workers=8, inner=Inner(uri="there"), many=(Inner(uri="a"),), named={"x": Inner(uri="b")})
    alike = Outer(workers=1, inner=Inner(uri="here"), many=(Inner(uri="c"),), named={"x": Inner(uri="d")})
    assert moved.key_material() == alike.key_material()
    assert "uri" not in str(moved.key_material()) and "workers" not in moved.key_material()


def test_key_holds_everything_else() -> None:
    assert Outer(rows=4).key_material() != Outer().key_material()
    assert Outer(many=(Inner(name="m"),)).key_material() != Outer(many=(Inner(),)).key_material()
