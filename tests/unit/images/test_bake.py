"""The bake file: a target for every image, whose arguments the Dockerfile knows, with the Dockerfile's own defaults."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

hcl2 = pytest.importorskip("hcl2", reason="needs python-hcl2: make install")

ROOT = Path(__file__).resolve().parents[3]
GIVEN_BY_BUILDKIT = {"SOURCE_DATE_EPOCH"}
VARIANTS = {"ray-vllm", "train-vllm"}


def plain(value: Any) -> Any:
    """A value without the parser's quotes and its own keys."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def blocks(kind: str) -> dict[str, dict[str, Any]]:
    """The file's blocks of a kind, by name."""
    with (ROOT / "images" / "docker-bake.hcl").open() as file:
        return {name: body for block in plain(hcl2.load(file)[kind]) for name, body in block.items()}


def arguments_of(dockerfile: str) -> dict[str, str]:
    """The build arguments that a Dockerfile knows, and their defaults."""
    return dict(re.findall(r"^ARG (\w+)(?:=(.*))?$", (ROOT / dockerfile).read_text(), re.MULTILINE))


def whole(name: str) -> dict[str, Any]:
    """A target with what it inherits."""
    own = blocks("target")[name]
    merged: dict[str, Any] = {"args": {}}
    for parent in own.get("inherits", []):
        inherited = whole(parent)
        merged = {**merged, **inherited, "args": {**merged["args"], **inherited["args"]}}
    return {**merged, **own, "args": {**merged["args"], **own.get("args", {})}}


def test_every_image_has_a_target_and_is_built_by_default() -> None:
    images = {path.parent.name for path in (ROOT / "images").glob("*/requirements.txt")}
    groups = blocks("group")
    assert set(groups["default"]["targets"]) == images
    assert set(groups["all"]["targets"]) == images | VARIANTS


@pytest.mark.parametrize("name", ["launcher", "ray", "ray-vllm", "train", "train-vllm"])
def test_a_target_gives_only_arguments_that_its_dockerfile_knows(name: str) -> None:
    target = whole(name)
    assert target["args"].keys() - GIVEN_BY_BUILDKIT <= arguments_of(target["dockerfile"]).keys()
    assert target["tags"] == [f"${{REGISTRY}}/{name}:${{VERSION}}"]


def test_bases_are_those_of_the_dockerfile() -> None:
    known = arguments_of("images/Dockerfile")
    given = {name: body["default"] for name, body in blocks("variable").items()}
    assert (given["BASE"], given["UV"]) == (known["BASE"], known["UV"])


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert blocks("variable")["VERSION"]["default"] == project["version"]


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_lock_file_of_a_variant_is_there(name: str) -> None:
    target = whole(name)
    assert (ROOT / "images" / target["target"] / target["args"]["LOCK"]).is_file()
