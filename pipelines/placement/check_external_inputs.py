"""Checks of the local files and models that a recipe names: they must exist, or, on a cluster, be readable by pods."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from components.models.reference import PACKAGE, package_folder
from components.shared.step import ExternalInput
from pipelines.placement.task import Fault

LOCAL_MODEL = (PACKAGE, "/", ".", "~", "file://")
"""Prefixes of references to local models; any other reference can be a hub id."""


def find_missing(inputs: Iterable[ExternalInput]) -> Iterator[Fault]:
    """Local files and models that do not exist; a model is reported only where it is named first."""
    for named in _each_once(inputs):
        path = local_path(named.uri)
        if path is None:
            continue
        if not named.is_model and not path.exists():
            yield Fault(named.location, f"{named.uri!r}: no such file or folder (looked for {path})")
        if named.is_model and not (path / "config.json").exists() and not (path / "manifest.json").exists():
            yield Fault(named.location, f"{named.uri!r}: no model there (looked for {path}/config.json)")


def find_unreachable(inputs: Iterable[ExternalInput]) -> Iterator[Fault]:
    """Local files and models, which are neither in the image nor in a bucket or a hub."""
    for named in _each_once(inputs):
        if named.uri.startswith(PACKAGE) or local_path(named.uri) is None:
            continue
        allowed = "a hub's id, a store's URI (s3://…)" if named.is_model else "a bucket (s3://…), a hub"
        yield Fault(
            named.location,
            f"{named.uri!r} is on this machine, where pods cannot read it"
            f"\n    allowed: {allowed}, or package:FOLDER of the image",
        )


def local_path(uri: str) -> Path | None:
    """The local path of a URI, or None for a bucket or a hub."""
    if uri.startswith(PACKAGE):
        return package_folder(uri)
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if ":" in uri.split("/", maxsplit=1)[0] else Path(uri).expanduser()


def _each_once(inputs: Iterable[ExternalInput]) -> Iterator[ExternalInput]:
    """All files, and each local model where it is named first."""
    models: set[str] = set()
    for named in inputs:
        if not named.is_model:
            yield named
        elif named.uri not in models and named.uri.startswith(LOCAL_MODEL):
            models.add(named.uri)
            yield named
