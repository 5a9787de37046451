"""The bake file, built by BuildKit itself: the images are those that build.py makes, and the same each time."""

import hashlib
import json
import re
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.oci_layout import blob, layers_by_content, read_manifest
from tests.charts.programs import built
from tests.cluster.node.programs import BUILDKITD, BUILDX
from tests.images.buildkit import ROOT, BuildKit, buildkit
from tests.images.conftest import Image

MOUNTS = {"etc/hostname", "etc/hosts", "etc/resolv.conf", "run/secrets", "var/cache/uv", "var/cache/uv-host"}
"""What buildah mounts something over while it builds; what it leaves of that is empty."""
EMPTY = hashlib.sha256(b"").hexdigest()

pytestmark = pytest.mark.timeout(3600)  # the first test builds what is missing


@pytest.fixture(scope="module")
def daemon(images: dict[str, Image]) -> Iterator[BuildKit]:
    """BuildKit, where it was built."""
    for program in (BUILDKITD, BUILDX):
        built(program)
    with tempfile.TemporaryDirectory(prefix="bake-", dir="/var/tmp") as folder, buildkit(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def baked(daemon: BuildKit) -> Path:
    """The launcher as the bake file makes it."""
    return daemon.bake("launcher")


def test_a_baked_image_holds_what_build_py_puts_into_it(baked: Path, images: dict[str, Image]) -> None:
    ours, theirs = files(images["launcher"].layout), files(baked)
    different = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    assert different <= MOUNTS
    assert {ours[path][-1] for path in different} <= {"", EMPTY} and not different & theirs.keys()


def test_a_baked_image_is_configured_alike(baked: Path, images: dict[str, Image]) -> None:
    names = ("User", "Env", "Cmd", "WorkingDir")
    ours, theirs = (configuration(layout)["config"] for layout in (images["launcher"].layout, baked))
    assert {name: theirs[name] for name in names} == {name: ours[name] for name in names}
    assert {name: value for name, value in ours["Labels"].items() if not name.startswith("io.buildah")} == {
        name: value for name, value in theirs["Labels"].items() if not name.startswith("io.buildah")
    }


def test_it_has_its_provenance(daemon: BuildKit) -> None:
    layout = daemon.bake("launcher", provenance=True)
    _, listed = read_manifest(layout)
    manifests = listed["manifests"]
    told = json.loads(blob(layout, manifests[1]["digest"]).read_text())["layers"]
    assert "slsa.dev/provenance" in told[0]["annotations"]["in-toto.io/predicate-type"]
    kinds = [one.get("annotations", {}).get("vnd.docker.reference.type") for one in manifests]
    assert kinds == [None, "attestation-manifest"]


def test_baked_again_it_has_the_same_layers(baked: Path, daemon: BuildKit) -> None:
    again = daemon.bake("launcher", "--no-cache")
    assert list(layers_by_content(again)) == list(layers_by_content(baked))


def test_what_the_script_for_kind_bakes_is_what_dockers_own_store_can_hold() -> None:
    script = (ROOT / "k8s" / "kind" / "up.sh").read_text()
    (words,) = re.findall(r"docker buildx (bake .*)", script)
    ran = subprocess.run(
        [built(BUILDX), *shlex.split(words), "--print"], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert ran.returncode == 0, ran.stderr
    targets = json.loads(ran.stdout)["target"]
    assert set(targets) == {"launcher", "ray", "train"}
    for target in targets.values():
        assert [output["type"] for output in target["output"]] == ["docker"]
        assert all(attested["disabled"] for attested in target["attest"])


def configuration(layout: Path) -> dict[str, Any]:
    """An image's configuration."""
    _, manifest = read_manifest(layout)
    return dict(json.loads(blob(layout, manifest["config"]["digest"]).read_text()))


def files(layout: Path) -> dict[str, tuple[object, ...]]:
    """What an image's root holds: by path kind, mode, owner, time, and the digest of a file or a link's target."""
    _, manifest = read_manifest(layout)
    found: dict[str, tuple[object, ...]] = {}
    for layer in manifest["layers"]:
        with tarfile.open(blob(layout, layer["digest"])) as archive:
            for entry in archive:
                path = Path(entry.name)
                if path.name.startswith(".wh."):
                    del found[str(path.with_name(path.name.removeprefix(".wh.")))]
                else:
                    found[str(path)] = described(archive, entry)
    return found


def described(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple[object, ...]:
    """One entry; modes of links have no meaning, and the upper bits of others repeat the kind."""
    content = archive.extractfile(entry) if entry.isreg() else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
    mode = 0 if entry.issym() else entry.mode & 0o7777
    return entry.type, mode, entry.uid, entry.gid, entry.mtime, digest
