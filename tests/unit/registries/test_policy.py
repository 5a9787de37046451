"""A policy of route that only this file knows routes problems: the registry is all it needs."""

import json
from collections.abc import Mapping
from typing import Literal

import pytest

from components.route.policies.policy import Policy, Way
from components.route.policies.registry import POLICIES
from components.route.route import parts_of
from components.route.settings import RouteSettings
from components.shared.pools import Pool
from components.shared.rows import Labelled


class EverythingPolicy(Policy):
    """SFT gets every problem."""

    policy: Literal["everything"] = "everything"
    patience: int = 3

    @property
    def ways(self) -> Mapping[Pool, Way]:
        return dict.fromkeys(("hard", "mixed", "easy"), Way(0.0, "all"))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICIES, "everything", EverythingPolicy)


def test_its_settings_are_read_hashed_and_in_the_schema() -> None:
    settings = RouteSettings.model_validate({"by": {"policy": "everything", "patience": 4}})
    assert settings.key_material()["by"] == settings.by.model_dump() and settings.by.model_dump()["patience"] == 4
    assert "patience" in json.dumps(RouteSettings.model_json_schema())


def test_it_routes() -> None:
    settings = RouteSettings.model_validate({"by": {"policy": "everything"}})
    row = Labelled(id="a", source="s", line=1, instruction="?", type="t", primary="p", secondary="s")
    assert {parts_of(row, way, settings.seed) for way in settings.by.ways.values()} == {("sft",)}
