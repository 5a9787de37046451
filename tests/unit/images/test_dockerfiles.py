"""What the Dockerfiles have in common stays the same, so that images share layers; and how their pods start."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ("launcher", "ray", "train")


def stages_of(image: str) -> dict[str, str]:
    """The stages of an image's Dockerfile without comments, by name; the last is called last."""
    lines = (ROOT / "images" / image / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    head, *stages = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    named = [re.match(r"FROM \S+ AS (\S+)", stage) for stage in stages]
    return {"": head} | {match[1] if match else "last": stage for match, stage in zip(named, stages, strict=True)}


@pytest.mark.parametrize("stage", ["", "uv", "code"])
def test_all_images_begin_alike_and_hold_the_same_code(stage: str) -> None:
    assert len({stages_of(image)[stage] for image in IMAGES}) == 1


def test_ray_and_train_have_the_same_layer_with_torch() -> None:
    assert stages_of("ray")["torch"] == stages_of("train")["torch"]
    assert all(stages_of(image)["last"].startswith("FROM torch\n") for image in ("ray", "train"))


@pytest.mark.parametrize("image", IMAGES)
def test_pods_run_as_a_numeric_user_who_is_not_root(image: str) -> None:
    assert re.findall(r"^USER (.+)$", stages_of(image)["last"], re.MULTILINE) == ["1000:0"]


@pytest.mark.parametrize("image", IMAGES)
def test_everything_that_is_installed_is_checked_by_hash_or_is_the_code(image: str) -> None:
    installs = re.findall(r"uv pip install (.*?)(?:&&|\n[A-Z])", "\n".join(stages_of(image).values()), re.DOTALL)
    assert installs
    assert [text for text in installs if "--require-hashes" not in text and "/build" not in text] == []


@pytest.mark.parametrize("image", IMAGES)
def test_bases_are_pinned_by_digest_and_the_same_in_the_bake_file(image: str) -> None:
    bases = re.findall(r"^ARG (?:BASE|UV)=(.+)$", stages_of(image)[""], re.MULTILINE)
    assert len(bases) == 2
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", base) for base in bases)
    assert all(f'default = "{base}"' in (ROOT / "images" / "docker-bake.hcl").read_text() for base in bases)
