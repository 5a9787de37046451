"""Opens the store that a URI names: its scheme chooses the kind."""

from pathlib import Path

from components.shared.errors import SettingsError
from components.shared.store.folder import FolderStore
from components.shared.store.store import Store

SCHEMES = ("s3://BUCKET/PREFIX", "file:///FOLDER", "/FOLDER", "FOLDER")


def open_store(uri: str) -> Store:
    """Open the store that a URI names.

    Raises:
        SettingsError: the scheme is unknown.
    """
    if uri.startswith("s3://"):
        # boto3 takes a third of a second to import, which a run on folders need not wait for.
        from components.shared.store.s3 import S3Store

        return S3Store.from_uri(uri)
    if "://" in uri and not uri.startswith("file://"):
        raise SettingsError(
            f"store {uri!r} has an unknown scheme",
            rule="a store is a folder or an S3 bucket with a prefix",
            allowed=SCHEMES,
            remedy="write the store's URI in one of the allowed forms",
        )
    return FolderStore(Path(uri.removeprefix("file://")).expanduser())
