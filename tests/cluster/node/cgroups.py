"""The parent cgroup of all pods of the node, in every hierarchy of the kernel."""

from pathlib import Path

from tests.cluster.node.places import CGROUP

ROOT = Path("/sys/fs/cgroup")


def make_cgroups() -> None:
    """Make the node's cgroup: the kubelet expects it to exist."""
    for hierarchy in _hierarchies():
        own = hierarchy / CGROUP
        own.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # cgroup v1 leaves these empty, and then nothing may run there
            if (own / file).exists() and hierarchy != ROOT:
                (own / file).write_text((hierarchy / file).read_text())


def remove_cgroups() -> None:
    """Remove it with all below it; its processes must have ended."""
    for own in remaining_cgroups():
        for folder in sorted((path for path in own.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        own.rmdir()


def remaining_cgroups() -> list[Path]:
    """The node's cgroups that exist."""
    return [hierarchy / CGROUP for hierarchy in _hierarchies() if (hierarchy / CGROUP).is_dir()]


def pod_processes() -> set[int]:
    """All processes in pods."""
    found: set[int] = set()
    for file in (file for own in remaining_cgroups() for file in own.rglob("cgroup.procs")):
        found.update(map(int, file.read_text().split()))
    return found


def _hierarchies() -> list[Path]:
    """One folder for each hierarchy of cgroup v1; the root itself where there is only v2."""
    candidates = [ROOT, *(path for path in sorted(ROOT.iterdir()) if path.is_dir() and not path.is_symlink())]
    return [path for path in candidates if path.is_mount() and (path / "cgroup.procs").exists()]
