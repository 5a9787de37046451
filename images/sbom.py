#!/usr/bin/env python3
"""Write what each image holds, as an SPDX document beside its layout: NAME-KEY.spdx.json.

    images/build.py | images/sbom.py

Reads build.py's lines from stdin, passes over images whose document is there, and prints the documents' paths. syft
reads the layouts: the one on PATH, else the one that is built once into the cache, which needs Go.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.57.1"
MODULE = "github.com/anchore/syft"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage"
BUILT = CACHE / f"syft-{VERSION}" / "syft"


def main() -> None:
    """Write the documents of all images named on stdin."""
    for line in sys.stdin:
        reference, layout = line.split()
        document = Path(f"{layout}.spdx.json")
        if not document.exists():
            write(reference, Path(layout), document)
        print(document, flush=True)


def write(reference: str, layout: Path, document: Path) -> None:
    """Write one image's document; the file exists only once it is complete."""
    name, _, version = reference.rpartition(":")
    with tempfile.TemporaryDirectory(dir=layout.parent, prefix="writing-") as folder:
        writing = Path(folder) / "document"
        named = ["--source-name", name, "--source-version", version]
        run([str(syft()), "scan", "--quiet", f"oci-dir:{layout}", *named, "--output", f"spdx-json={writing}"])
        writing.rename(document)


def syft() -> Path:
    """syft's program."""
    if found := shutil.which("syft"):
        return Path(found)
    if not BUILT.exists():
        build_syft()
    return BUILT


def build_syft() -> None:
    """Build syft from its Go module: some minutes, once."""
    BUILT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT.parent) as folder:
        (Path(folder) / "go.mod").write_text(f"module sbom\n\ngo 1.26\n\nrequire {MODULE} v{VERSION}\n")
        lean = ["-gcflags=all=-dwarf=false", "-ldflags", f"-s -w -X main.version={VERSION}"]
        build = ["go", "build", "-mod=mod", "-buildvcs=false", "-trimpath", *lean, "-o", "syft", f"{MODULE}/cmd/syft"]
        run(build, Path(folder))
        (Path(folder) / "syft").rename(BUILT)


def run(command: list[str], folder: Path | None = None) -> None:
    """Run a command; stdout is for results alone."""
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    try:
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=sys.stderr)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not there: install syft {VERSION}, or Go to build it, and run this again")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command[:2])} failed with exit code {error.returncode}; its own words stand above")


if __name__ == "__main__":
    main()
