"""What images hold and what they do not; what they share; and that the same input makes the same bytes."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from images.lock import locked_versions, normalised
from images.oci_layout import layers_by_content
from tests.images.conftest import Image
from tests.images.container import ANY_USER, Container

FOLDER = Path(__file__).parents[2] / "images"
IMAGES = ("launcher", "ray", "train")
LAUNCHER_MEGABYTES = 400
COMPILERS = ("cc", "gcc", "g++", "c++", "clang")
UNCHECKED = (1).to_bytes(4, "little")
"""Flags of bytecode that is known by its source's hash, which nobody compares (PEP 552)."""
BUILD_TOOLS = ("usr/local/bin/uv", "etc/uv/uv.toml", "build", "run/secrets/ca", "var/cache/uv/*")

pytestmark = pytest.mark.timeout(3600)  # the first test builds what is missing


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_versions_of_its_lock_file(containers: dict[str, Container], image: str) -> None:
    program = (
        "import json; from importlib.metadata import distributions;"
        "print(json.dumps([(found.name, found.version) for found in distributions()]))"
    )
    installed = {normalised(name): version for name, version in json.loads(containers[image].python(program))}
    locked = locked_versions((FOLDER / image / "requirements.txt").read_text())
    assert installed.pop("tutelage")
    assert {name: version for name, version in installed.items() if version not in locked.get(name, ())} == {}


def test_the_launcher_is_small_and_has_no_torch(launcher: Container) -> None:
    used = subprocess.run(
        ["du", "-s", "--block-size=1M", str(launcher.root)], capture_output=True, text=True, check=True, timeout=3600
    )
    assert int(used.stdout.split()[0]) <= LAUNCHER_MEGABYTES
    assert launcher.run("python", "-c", "import torch").returncode != 0


@pytest.mark.parametrize("image", ["launcher", "ray"])
def test_there_is_no_compiler_where_none_is_needed(containers: dict[str, Container], image: str) -> None:
    assert [name for name in COMPILERS if containers[image].run("sh", "-c", f"command -v {name}").returncode == 0] == []


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_of_the_build_is_left(containers: dict[str, Container], image: str) -> None:
    assert [path for pattern in BUILD_TOOLS for path in containers[image].root.glob(pattern)] == []


@pytest.mark.parametrize("image", IMAGES)
def test_the_bases_certificate_authorities_are_still_there(containers: dict[str, Container], image: str) -> None:
    program = "import ssl; print(len(ssl.create_default_context(cafile='{}').get_ca_certs()))"
    assert int(containers[image].python(program.format("/etc/ssl/certs/ca-certificates.crt"))) > 50


@pytest.mark.parametrize("image", IMAGES)
def test_no_bytecode_trusts_the_time_of_its_source(containers: dict[str, Container], image: str) -> None:
    """Times are levelled and the root is read-only: it would be compiled again at every start."""
    compiled = list(containers[image].root.rglob("*.pyc"))
    assert len(compiled) > 1000
    assert [str(path) for path in compiled if path.open("rb").read(8)[4:] != UNCHECKED] == []


@pytest.mark.parametrize("image", IMAGES)
def test_any_user_can_read_everything_of_tutelage_and_write_nothing(
    containers: dict[str, Container], image: str
) -> None:
    paths = [
        Path(folder) / name for folder, _, files in os.walk(containers[image].root / "opt") for name in (".", *files)
    ]
    modes = {path: path.lstat().st_mode for path in paths if not path.is_symlink()}
    assert [
        path for path, mode in modes.items() if not mode & stat.S_IROTH or mode & (stat.S_IWOTH | stat.S_IWGRP)
    ] == []


@pytest.mark.parametrize("image", IMAGES)
def test_the_root_is_read_only_and_tmp_is_not(containers: dict[str, Container], image: str) -> None:
    ran = containers[image].run("sh", "-c", "id -u; echo x > $HOME/file && cat $HOME/file; echo x > /opt/file")
    assert ran.stdout.split() == [str(ANY_USER), "x"]
    assert "Read-only file system" in ran.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_the_image_says_what_it_is_and_names_a_numeric_user(containers: dict[str, Container], image: str) -> None:
    configuration = containers[image].configuration["config"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in configuration["Labels"].items()}
    assert labels["title"] == f"tutelage-{image}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["description"]
    assert labels["version"] == containers[image].python(
        "from importlib.metadata import version as v; print(v('tutelage'))"
    )
    assert "revision" in labels
    assert configuration["User"].split(":")[0].isdecimal()


def test_torch_is_one_layer_that_ray_and_train_share(images: dict[str, Image]) -> None:
    ray, train = (layers_by_content(images[name].layout) for name in ("ray", "train"))
    shared = [layer for content, layer in ray.items() if content in train]
    largest = max(train.values(), key=lambda layer: layer["size"])
    assert largest in shared
    assert sum(layer["size"] for layer in shared) > 0.8 * sum(layer["size"] for layer in train.values())


def test_code_is_one_layer_that_all_share(images: dict[str, Image]) -> None:
    contents = [list(layers_by_content(image.layout)) for image in images.values()]
    assert len({layers[-1] for layers in contents}) == 1


def test_the_extensions_of_deepspeed_load_without_a_compiler(train: Container) -> None:
    program = (
        "from deepspeed.ops.op_builder.cpu import CPUAdamBuilder as A, ShareMemCommBuilder as S;"
        "print(A().load().__file__, S().load().__file__)"
    )
    loaded = train.python(program, DS_ACCELERATOR="cpu", PATH="/opt/tutelage/bin").splitlines()[-1]
    assert all(file.startswith("/opt/tutelage/") for file in loaded.split())


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_deepspeeds_adam_for_processors_does_what_torchs_does(train: Container, accelerator: str) -> None:
    program = """
import torch
from deepspeed.ops.adam import DeepSpeedCPUAdam
ours, theirs = (torch.nn.Parameter(torch.arange(-50.0, 50.0) / 10) for _ in range(2))
steps = [DeepSpeedCPUAdam([ours], lr=0.01, weight_decay=0.1), torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)]
for step in range(5):
    for parameter, optimizer in zip((ours, theirs), steps):
        parameter.grad = torch.sin(torch.arange(100.0) + step)
        optimizer.step()
print(float((ours - theirs).abs().max()))
"""
    ran = train.python(program, DS_ACCELERATOR=accelerator, PATH="/opt/tutelage/bin")
    assert float(ran.splitlines()[-1]) < 1e-5


def test_the_launcher_built_again_has_the_same_layers(images: dict[str, Image], tmp_path: Path) -> None:
    program = (
        "import build, pathlib, sys; build.CACHE.mkdir(parents=True); build.CACHED = ['--layers', '--no-cache'];"
        "sys.argv = ['build.py', '--debian', 'launcher']; build.main()"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=3600
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    again = Path(ran.stdout.split()[1])
    assert list(layers_by_content(again)) == list(layers_by_content(images["launcher"].layout))
