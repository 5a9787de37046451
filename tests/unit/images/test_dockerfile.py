"""The Dockerfile: one target for each image, what pods start as, and what may be installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ("launcher", "ray", "train")


def stages() -> dict[str, str]:
    """The Dockerfile's stages without comments, by name; what precedes them is named `head`."""
    lines = (ROOT / "images" / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    head, *texts = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    return {"head": head} | {text.split("\n", 1)[0].split()[-1]: text for text in texts}


def test_every_image_with_a_lock_file_is_a_target() -> None:
    locked = {path.parent.name for path in (ROOT / "images").glob("*/requirements.txt")}
    assert locked == set(IMAGES) and locked < stages().keys()


@pytest.mark.parametrize("image", IMAGES)
def test_every_image_ends_with_the_same_code(image: str) -> None:
    assert re.findall(r"^(?:COPY|RUN) .*$", stages()[image], re.MULTILINE)[-1] == "COPY --from=code /code /opt/tutelage"


@pytest.mark.parametrize("image", ["ray", "train"])
def test_images_with_torch_begin_with_its_layer(image: str) -> None:
    assert stages()[image].startswith(f"FROM torch AS {image}\n")


@pytest.mark.parametrize("image", IMAGES)
def test_pods_run_as_a_numeric_user_who_is_not_root(image: str) -> None:
    assert re.findall(r"^USER (.+)$", stages()[image], re.MULTILINE) == ["1000:0"]


def test_everything_that_is_installed_is_checked_by_hash_or_is_the_code() -> None:
    installs = re.findall(r"uv pip install (.*?)(?:&&|\n[A-Z])", "\n".join(stages().values()), re.DOTALL)
    assert len(installs) >= len(IMAGES)
    assert [text for text in installs if "--require-hashes" not in text and "/build" not in text] == []


def test_bases_are_pinned_by_digest_and_the_same_in_the_bake_file() -> None:
    bases = re.findall(r"^ARG (?:BASE|UV)=(.+)$", stages()["head"], re.MULTILINE)
    assert len(bases) == 2
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", base) for base in bases)
    assert all(f'default = "{base}"' in (ROOT / "images" / "docker-bake.hcl").read_text() for base in bases)
