#!/usr/bin/env python3
"""Bring the layouts that build.py wrote into a node's containerd, only the layers that it lacks.

    images/build.py | images/load.py [--address SOCKET]

Reads build.py's lines from stdin. Images whose layouts build.py no longer keeps are removed. Needs ctr and root.
"""

import argparse
import fcntl
import subprocess
import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Load every image named on stdin."""
    parser = argparse.ArgumentParser(description="Load images into containerd; reads the lines of build.py from stdin.")
    parser.add_argument("--address", default="/run/containerd/containerd.sock", help="containerd's socket")
    parser.add_argument("--namespace", default="k8s.io", help="containerd's namespace; the kubelet reads k8s.io")
    chosen = parser.parse_args()
    ctr = ["ctr", "--address", chosen.address, "--namespace", chosen.namespace]
    for line in sys.stdin:
        reference, layout = line.split()
        # Several at once would all import the image: the first one does, and the others find it.
        with (Path(layout).parent / "loading").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            bring_in(ctr, reference, Path(layout))
        print(reference, flush=True)


def bring_in(ctr: list[str], reference: str, layout: Path) -> None:
    """Load the image unless containerd holds it, and remove those of its name whose layouts are gone."""
    if reference not in lines_of([*ctr, "images", "list", "--quiet"]):
        load(ctr, layout)
    if stale := stale_images(reference, layout, lines_of([*ctr, "images", "list", "--quiet"])):
        subprocess.run([*ctr, "images", "remove", *stale], check=True, stdout=sys.stderr)


def load(ctr: list[str], layout: Path) -> None:
    """Hand containerd an archive of the layout without the blobs that it holds already."""
    held = {digest.partition(":")[2] for digest in lines_of([*ctr, "content", "list", "--quiet"])}
    command = [*ctr, "images", "import", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr) as importing:
        assert importing.stdin is not None
        with tarfile.open(fileobj=importing.stdin, mode="w|", bufsize=1 << 20) as archive:
            for path in sorted(path for path in layout.rglob("*") if path.is_file() and path.name not in held):
                archive.add(path, arcname=str(path.relative_to(layout)))
        importing.stdin.close()
    if importing.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {importing.returncode}; its own words stand above")


def stale_images(reference: str, layout: Path, held: set[str]) -> list[str]:
    """Images of the same name that containerd holds, and whose layouts are gone."""
    name = layout.name.rpartition("-")[0]
    tags = {image.removeprefix(f"{reference.rpartition(':')[0]}:"): image for image in held}
    return sorted(
        image for tag, image in tags.items() if tag != image and not (layout.parent / f"{name}-{tag}").is_dir()
    )


def lines_of(command: list[str]) -> set[str]:
    """Lines that a command prints."""
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


if __name__ == "__main__":
    main()
