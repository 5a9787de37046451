#!/usr/bin/env python3
"""Build the images with buildah, for a machine without Docker: each into an OCI layout in the cache.

    images/build.py [--debian] [launcher] [ray] [train] [ray-vllm] [train-vllm]

Prints a line for each image: its reference, and the folder of its layout. The tag is the hash of what goes in, so that
unchanged input costs nothing. Where there is Docker, `docker buildx bake` builds the same Dockerfile; this is for the
tests' node, which has neither Docker nor a registry: buildah alone gives an image no name by its content, and would
copy gigabytes of torch into every layout. Needs buildah; --debian also needs debootstrap, and root. Uses the standard
library alone, since it runs before anything is installed.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import IO

from lock import uv_program
from oci_layout import write_layout

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = Path("images", "Dockerfile")
IMAGES = sorted(path.parent.name for path in (ROOT / "images").glob("*/requirements.txt"))
VARIANTS = {f"{name}-vllm": (name, {"LOCK": "requirements-vllm.txt"}) for name in ("ray", "train")}
"""Images of another's target, with its build arguments; built when they are named."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage" / "images"
REGISTRY = "localhost/tutelage"
CONTEXT = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
"""What the Dockerfile can copy."""
SHARED = {str(DOCKERFILE), "images/setuptools.txt", "images/torch.txt"}
"""Files of this folder that every image is made of."""
EPOCH = os.environ.get("SOURCE_DATE_EPOCH", "315532800")
"""Timestamp of every file and image: 1980, so that equal input makes equal layers."""
CACHED = ["--layers"]
"""buildah's options for steps that it has done before."""
KEPT = 3
"""Layouts of each image that are kept: someone may still be reading the one before. They share their large layers."""
STEPS_STAY = (
    "cached steps of earlier images stay: containers use them, of a build that runs or was killed. See them by "
    "`buildah containers`, remove those that nobody needs by `buildah rm CONTAINER`, and build again"
)
SITE_CA = Path("/etc/ssl/certs/ca-certificates.crt")
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def main() -> None:
    """Build what the command line names, all images by default."""
    parser = argparse.ArgumentParser(description="Build the images with buildah, each into an OCI layout.")
    known = [*IMAGES, *VARIANTS]
    what = f"of {', '.join(known)}; default: {', '.join(IMAGES)}"
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=what)
    parser.add_argument("--base", help="base image; default: the Dockerfile's")
    parser.add_argument("--uv", help="image that holds /uv; default: the Dockerfile's")
    parser.add_argument("--revision", help="commit that the images are labelled with; default: none")
    parser.add_argument("--debian", action="store_true", help="make both here, from Debian's and Python's packages")
    chosen = parser.parse_args()
    if unknown := set(chosen.images) - set(known):
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = {**base_arguments(chosen), **label_arguments(chosen.revision)}
        with tempfile.TemporaryDirectory() as folder:
            tree = copy_input(Path(folder) / "tree")
            for name in chosen.images or IMAGES:
                reference, layout = build(name, tree, arguments)
                print(reference, layout, flush=True)
        prune_steps()


def prune_steps() -> None:
    """Remove buildah's cached steps of images that are gone: gigabytes for each change of a lock file.

    A build that was killed leaves containers, and buildah removes no step while one uses it. They may as well belong to
    somebody's build that is running: so the steps stay, and the images are no less built.
    """
    listed = run("buildah", "images", "--filter", "dangling=true", "--quiet", stdout=subprocess.PIPE).split()
    if not listed:
        return
    prune = ["buildah", "rmi", "--prune"]
    if subprocess.run(prune, check=False, cwd=ROOT, stdout=sys.stderr).returncode != 0:
        print(STEPS_STAY, file=sys.stderr)


def copy_input(tree: Path) -> Path:
    """Copy everything that goes in: an edit while a build runs is in the hash and in the image, or in neither."""
    for entry in (".dockerignore", *CONTEXT):
        source, target = ROOT / entry, tree / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tree


def build(name: str, tree: Path, arguments: dict[str, str]) -> tuple[str, Path]:
    """Build an image unless its layout is there; returns its reference and the layout's folder."""
    folder, own = VARIANTS.get(name, (name, {}))
    arguments = {**arguments, **own}
    key = digest_input(folder, tree, arguments)
    reference, layout = f"{REGISTRY}/{name}:{key}", CACHE / f"{name}-{key}"
    if not layout.is_dir():
        run_buildah(folder, tree, reference, arguments)
        push = ["buildah", "push", "--quiet", "--format", "oci", "--disable-compression", reference]
        others = [other for image in (*IMAGES, *VARIANTS) for other in layouts(image)]
        write_layout(lambda target: run(*push, f"oci:{target}:{reference}"), layout, others)
    os.utime(layout)
    for stale in layouts(name)[:-KEPT]:
        shutil.rmtree(stale)
        stale.with_name(f"{stale.name}.spdx.json").unlink(missing_ok=True)
        remove_image(f"{REGISTRY}/{name}:{stale.name.removeprefix(name + '-')}")
    return reference, layout


def digest_input(name: str, tree: Path, arguments: dict[str, str]) -> str:
    """Hash of everything an image is made of, 16 hexadecimal digits."""
    digest = hashlib.sha256(json.dumps([EPOCH, arguments], sort_keys=True).encode())
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        place = str(path.relative_to(tree))
        if not place.startswith("images/") or place.startswith(f"images/{name}/") or place in SHARED:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{place}\0{os.access(path, os.X_OK)}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def run_buildah(name: str, tree: Path, reference: str, arguments: dict[str, str]) -> None:
    """Build one image under its reference; a build inside a container or as root needs no more than chroot."""
    command = ["buildah", "bud", "--isolation", "chroot", "--network", "host", *CACHED, "--timestamp", EPOCH]
    for argument, value in arguments.items():
        command += ["--build-arg", f"{argument}={value}"]
    if cache := os.environ.get("UV_CACHE_DIR") or existing(Path.home() / ".cache" / "uv"):
        command += ["--volume", f"{cache}:/var/cache/uv-host", "--build-arg", "UV_CACHE_DIR=/var/cache/uv-host"]
    with tempfile.TemporaryDirectory() as folder:
        command += secrets(Path(folder))
        run(*command, "--target", name, "--file", str(tree / DOCKERFILE), "--tag", reference, str(tree))
    # buildah 1.28 leaves behind the container of a stage that is only mounted.
    listed = run("buildah", "containers", "--format", "{{.ContainerName}}", stdout=subprocess.PIPE).split()
    if forgotten := [container for container in listed if container.startswith("uv-working-container")]:
        run("buildah", "rm", *forgotten)


def secrets(folder: Path) -> list[str]:
    """A site's certificate authority and package index, mounted while packages are installed and never kept."""
    found = ["--secret", f"id=ca,src={ca}"] if (ca := os.environ.get("SSL_CERT_FILE") or existing(SITE_CA)) else []
    index = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), None)
    settings = existing(Path.home() / ".config" / "uv" / "uv.toml") or existing(Path("/etc/uv/uv.toml"))
    if index:
        (folder / "uv.toml").write_text(f"[[index]]\nurl = {json.dumps(index)}\ndefault = true\n")
        settings = str(folder / "uv.toml")
    return [*found, "--secret", f"id=uv,src={settings}"] if settings else found


def layouts(name: str) -> list[Path]:
    """Layouts of an image in the cache, the one used last at the end."""
    found = [path for path in CACHE.glob(f"{name}-*") if re.fullmatch(f"{name}-[0-9a-f]{{16}}", path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def base_arguments(chosen: argparse.Namespace) -> dict[str, str]:
    """Build arguments that name the base image and uv's, made here if the command line asks for it."""
    if chosen.debian:
        return {"BASE": debian_base(), "UV": uv_image()}
    named = {"BASE": chosen.base, "UV": chosen.uv}
    return {argument: value for argument, value in named.items() if value}


def label_arguments(revision: str | None) -> dict[str, str]:
    """Build arguments that images are labelled with: Tutelage's version, and the commit if one is given."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return {"VERSION": version, **({"REVISION": revision} if revision else {})}


def debian_base() -> str:
    """Reference of a minimal Debian with Python, made by images/debian/bootstrap.sh when it is missing."""
    script = ROOT / "images" / "debian" / "bootstrap.sh"
    reference = f"{REGISTRY}/debian:{hashlib.sha256(script.read_bytes()).hexdigest()[:16]}"
    if not has_image(reference):
        run("bash", str(script), reference, EPOCH)
    return reference


def uv_image() -> str:
    """Reference of an image that holds uv alone, the one that the Makefile uses."""
    uv = uv_program()
    version = run(uv, "--version", stdout=subprocess.PIPE).split()[1]
    reference = f"{REGISTRY}/uv:{version}"
    if not has_image(reference):
        container = run("buildah", "from", "scratch", stdout=subprocess.PIPE).strip()
        run("buildah", "copy", "--quiet", container, uv, "/uv")
        run("buildah", "commit", "--quiet", "--rm", "--timestamp", EPOCH, container, reference)
    return reference


def has_image(reference: str) -> bool:
    """Whether buildah has an image."""
    listed = run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}", stdout=subprocess.PIPE)
    return reference in listed.splitlines()


def remove_image(reference: str) -> None:
    """Drop an image that a newer one replaced; layers that both have stay."""
    if has_image(reference):
        run("buildah", "rmi", reference)


def existing(path: Path) -> str | None:
    """The path, if something is there."""
    return str(path) if path.exists() else None


def run(*command: str, stdout: IO[str] | int = sys.stderr) -> str:
    """Run a command in the repository's root; returns what it printed to a pipe. Our stdout is for results alone."""
    try:
        return subprocess.run(command, check=True, cwd=ROOT, stdout=stdout, text=True).stdout
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not there: install it (apt-get install buildah debootstrap) and run this again")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command[:2])} failed with exit code {error.returncode}; its own words stand above")


if __name__ == "__main__":
    main()
