"""Puts a model where a server finds it: `python -m components.models.place_model REFERENCE FOLDER`.

For the pod of a teacher, whose server takes a folder, not one of Tutelage's references. The bytes are stored in
Tutelage's cache, so that a restart downloads nothing; FOLDER becomes a link to them.
"""

import argparse
import os
import shutil
import sys
import uuid
from pathlib import Path

from components.models.reference import as_parent, cache_folder, local_model
from components.shared.errors import SettingsError, TutelageError
from components.shared.outputs.digest import hex_of
from components.shared.text.counted import counted


def place_model(reference: str, folder: Path) -> None:
    """Download a model into the cache and link `folder` to it, replacing an older link.

    Raises:
        SettingsError: `folder` exists and is not a link.
        ModelError: there is no such model, or its weights are not safetensors.
        DamagedError: a downloaded file differs from its manifest.
    """
    if folder.exists() and not folder.is_symlink():
        raise SettingsError(f"{folder} exists and is not a link", remedy="name a folder that does not exist")
    found = _in_cache(reference, local_model(reference))
    folder.parent.mkdir(parents=True, exist_ok=True)
    link = _beside(folder)
    # Relative: the volume may be mounted elsewhere in another container.
    link.symlink_to(os.path.relpath(found, folder.parent))
    link.replace(folder)


def _in_cache(reference: str, found: Path) -> Path:
    """The model's folder in the cache; a model of the installed package is copied there, for other images."""
    if found.is_relative_to(cache_folder()):
        return found
    kept = cache_folder() / "models" / hex_of(as_parent(reference).digest)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = _beside(kept)
        shutil.copytree(found, partial)
        partial.rename(kept)
    return kept


def _beside(path: Path) -> Path:
    """A new name in the same folder."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")


def main() -> int:
    """Place the model that the command line names; errors are printed without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m components.models.place_model", description="Place a model.")
    parser.add_argument("reference", help="a hub's id, s3://BUCKET/FOLDER, package:FOLDER, or a folder")
    parser.add_argument("folder", type=Path, help="becomes a link to the model; must not exist, or be an older link")
    given = parser.parse_args()
    reference, folder = given.reference, given.folder
    try:
        place_model(reference, folder)
    except TutelageError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    files = [path for path in folder.iterdir() if path.is_file()]
    gibibytes = sum(path.stat().st_size for path in files) / 2**30
    print(f"{reference} is at {folder}: {counted(len(files), 'file')}, {gibibytes:.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
