"""Settings refuse unknown keys, and declare what determines an output."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field, ValidationError

from components.shared.settings import Settings, known


class Inner(Settings):
    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"uri"})

    name: str = "n"
    uri: str = "here"


class Outer(Settings):
    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"workers"})

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


class Grown(Outer):
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = 1


def test_a_setting_that_was_added_later_leaves_addresses_as_they_are_until_it_is_set() -> None:
    assert Grown(samples=1).key_material() == Outer().key_material()
    assert Grown(samples=2).key_material() == {**Outer().key_material(), "samples": 2}


COLOURS = {"red": 0xFF0000, "green": 0x00FF00}


class Painted(Settings):
    colour: Annotated[str, known(COLOURS, "colour", also=["auto"])] = Field("auto", description="of the frame")


def test_a_name_has_to_be_in_its_registry() -> None:
    assert Painted.model_validate({"colour": "red"}).colour == "red"
    with pytest.raises(ValidationError, match="no colour 'blue'; allowed: auto, red, green"):
        Painted.model_validate({"colour": "blue"})


def test_the_schema_lists_the_names_of_the_registry() -> None:
    shown = Painted.model_json_schema()["properties"]["colour"]
    assert (shown["type"], shown["enum"], shown["description"]) == ("string", ["auto", "red", "green"], "of the frame")


def test_a_name_that_is_added_to_the_registry_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COLOURS, "blue", 0x0000FF)
    assert Painted.model_validate({"colour": "blue"}).colour == "blue"
    assert "blue" in Painted.model_json_schema()["properties"]["colour"]["enum"]
