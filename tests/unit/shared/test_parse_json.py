"""Damaged JSON is named with its file, the field and the remedy."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from components.shared.errors import DamagedError
from components.shared.parse_json import parse_json


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    spokes: int


class Bicycle(BaseModel):
    wheels: tuple[Wheel, ...]


def test_json_is_read_as_a_model_or_as_plain_values() -> None:
    text = '{"wheels": [{"spokes": 32}]}'
    assert parse_json(text.encode(), Bicycle, "bicycle.json", "") == Bicycle(wheels=(Wheel(spokes=32),))
    assert parse_json(text, dict[str, Any], "bicycle.json", "") == {"wheels": [{"spokes": 32}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"bicycle\.json is damaged: Invalid JSON"),
        (b'{"wheels": [{"spokes"', r"bicycle\.json is damaged: Invalid JSON: EOF"),
        (b"\xff", r"bicycle\.json is damaged: Invalid JSON"),
        (b"[]", r"bicycle\.json is damaged: Input should be an object"),
        (b"{}", r"bicycle\.json is damaged: wheels: Field required"),
        (b'{"wheels": [{"spokes": "many"}]}', r"is damaged: wheels\.0\.spokes: Input should be a valid integer"),
        (b'{"wheels": [{"spokes": 1, "rim": 2}]}', r"is damaged: wheels\.0\.rim: Extra inputs are not permitted"),
    ],
)
def test_damage_is_named_with_the_file_and_the_field(data: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message) as caught:
        parse_json(data, Bicycle, "bicycle.json", "buy another one")
    assert caught.value.remedy == "buy another one"
