"""BuildKit on this machine, without Docker: its daemon with runc, and buildx, which reads the bake file."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.node.programs import BUILDKITD, BUILDX

ROOT = Path(__file__).parents[2]
BAKE = Path("images", "docker-bake.hcl")
START_SECONDS = 60
BASES = {"BASE": "tutelage-base", "UV": "tutelage-uv"}
"""Variables of the bake file, and what the test's own file calls the images that they mean."""


@dataclass(frozen=True)
class BuildKit:
    """A daemon that listens, the folder of its files, the base images as layouts, and the site's files, by variable."""

    folder: Path
    bases: dict[str, Path]
    site: dict[str, str]

    def bake(self, target: str, *options: str, provenance: bool = False) -> Path:
        """Build a target of the bake file from local bases; the folder of its layout.

        With the file's own provenance the layout holds an index of the image and what attests it, else the image alone.
        """
        layout = Path(tempfile.mkdtemp(prefix=f"{target}-", dir=self.folder))
        own = self.folder / "own.json"
        own.write_text(json.dumps({"target": {"image": self._changed(layout, provenance)}}))
        # buildx asks before it reads or writes outside of the repository.
        allowed = [f"--allow=fs.read={place}" for place in (self.folder, *self.site.values())]
        command = ["bake", f"--file={BAKE}", f"--file={own}", *allowed, f"--allow=fs.write={self.folder}"]
        self._buildx(*command, "--builder=tests", "--progress=plain", *options, target)
        return layout

    def _changed(self, layout: Path, provenance: bool) -> dict[str, object]:
        """What differs from the shipped file: bases of this machine, a layout as output, and no SBOM.

        BuildKit makes that with an image of its own from a registry that cannot be reached from everywhere.
        """
        return {
            "contexts": {name: f"oci-layout://{self.bases[variable]}:base" for variable, name in BASES.items()},
            "attest": ["type=sbom,disabled=true", *([] if provenance else ["type=provenance,disabled=true"])],
            "output": [f"type=oci,tar=false,dest={layout},rewrite-timestamp=true"],
        }

    def _buildx(self, *arguments: str) -> None:
        environment = {**os.environ, **BASES, **self.site, "BUILDX_CONFIG": str(self.folder / "buildx")}
        ran = subprocess.run(
            [BUILDX.file(), *arguments], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=3600
        )
        assert ran.returncode == 0, ran.stderr[-3000:]

    def connect(self, socket: Path) -> None:
        """Register the daemon with buildx. Raises AssertionError when it does not start."""
        deadline = time.monotonic() + START_SECONDS
        while not socket.exists():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        self._buildx("create", "--name=tests", "--driver=remote", f"unix://{socket}")


@contextmanager
def buildkit(folder: Path) -> Iterator[BuildKit]:
    """A daemon for the time of the context, its files in a folder whose path is short enough for a socket."""
    socket = folder / "socket"
    worker = ["--containerd-worker=false", "--oci-worker=true", "--oci-worker-binary=runc", "--oci-worker-net=host"]
    command = [BUILDKITD.file(), f"--root={folder / 'state'}", f"--addr=unix://{socket}", *worker]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        made = BuildKit(folder, {variable: _layout(variable, folder) for variable in BASES}, _site(folder))
        made.connect(socket)
        yield made
    finally:
        daemon.terminate()
        daemon.wait(60)


def ask_build(expression: str) -> Any:
    """What a function of build.py returns; it is a script that imports its neighbours, not a module of a package."""
    program = f"import build, json, pathlib; print(json.dumps({expression}))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "images", text=True, capture_output=True, timeout=3600
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout)


def _site(folder: Path) -> dict[str, str]:
    """The site's authority and index, files as the bake file's variables name them; in the folder if they are made."""
    secrets = ask_build(f"build.secrets(pathlib.Path({str(folder)!r}))")
    rows = [dict(part.split("=", 1) for part in row.split(",")) for row in secrets[1::2]]
    variables = {"ca": "CA", "uv": "UV_SETTINGS"}
    return {variables[row["id"]]: row["src"] for row in rows}


def _layout(variable: str, folder: Path) -> Path:
    """The base image, or uv's, that build.py makes from Debian's packages, as a layout."""
    reference = ask_build({"BASE": "build.debian_base()", "UV": "build.uv_image()"}[variable])
    layout = folder / variable.lower()
    push = ["buildah", "push", "--quiet", "--format", "oci", reference, f"oci:{layout}:base"]
    subprocess.run(push, check=True, capture_output=True, timeout=3600)
    return layout
