"""URIs of stores and of what they hold."""

import os


def join(uri: str, *parts: str) -> str:
    """Join a URI and keys with single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts if part)])


def absolute(uri: str) -> str:
    """A URI that means the same from any working directory: folders are made absolute, others are kept."""
    return uri if "://" in uri else os.path.abspath(os.path.expanduser(uri))
