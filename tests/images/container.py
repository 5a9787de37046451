"""A container of an image as a strict cluster runs it: any user, a read-only root, no capabilities, no network."""

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

from images.oci_layout import blob, read_manifest

ANY_USER = 12345
"""A numeric user that exists in no image, in group 0: what OpenShift gives a pod."""
SCRATCH = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}


class Container:
    """An image's files, mounted by buildah; runc runs commands in them."""

    def __init__(self, reference: str, layout: Path, folder: Path) -> None:
        self.layout, self._folder = layout, folder
        self._container = _buildah("from", "--pull-never", reference)
        self.root = Path(_buildah("mount", self._container))

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as any user, with the image's own environment and these variables."""
        name = f"tutelage-test-{uuid.uuid4().hex[:12]}"
        bundle = self._folder / name
        bundle.mkdir()
        subprocess.run(["runc", "spec", "--bundle", str(bundle)], check=True, timeout=3600)
        written = bundle / "config.json"
        written.write_text(json.dumps(self._confined(json.loads(written.read_text()), command, variables)))
        run = ["runc", "run", "--bundle", str(bundle), name]
        return subprocess.run(run, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)

    def python(self, program: str, **variables: str) -> str:
        """What a Python program prints; it must succeed."""
        ran = self.run("python", "-c", program, **variables)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.strip()

    @property
    def configuration(self) -> dict[str, Any]:
        """The image's configuration, as the layout has it."""
        _, manifest = read_manifest(self.layout)
        return dict(json.loads(blob(self.layout, manifest["config"]["digest"]).read_text()))

    def close(self) -> None:
        """Unmount the files."""
        _buildah("umount", self._container)
        _buildah("rm", self._container)

    def _confined(self, spec: dict[str, Any], command: tuple[str, ...], variables: dict[str, str]) -> dict[str, Any]:
        """runc's own example of a container, with this root and as strict as possible."""
        process = {
            "terminal": False,
            "user": {"uid": ANY_USER, "gid": 0},
            "args": list(command),
            "env": [*self.configuration["config"]["Env"], *(f"{name}={value}" for name, value in variables.items())],
            "cwd": self.configuration["config"]["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
        }
        return {
            **spec,
            "process": process,
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [*spec["mounts"], SCRATCH],
        }


def _buildah(*command: str) -> str:
    return subprocess.run(
        ["buildah", *command], check=True, capture_output=True, text=True, timeout=3600
    ).stdout.strip()
