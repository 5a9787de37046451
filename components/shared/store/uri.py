"""URIs of stores and of what they hold."""

import os


def join(uri: str, *parts: str) -> str:
    """Join a URI and keys with single slashes."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts if part)])


def is_address(text: str) -> bool:
    """Whether a text may be an address in a store, PLACE/KEY, rather than a URI or a path."""
    return ":" not in text and text.count("/") == 1 and not text.startswith(("/", ".", "~"))


def absolute(uri: str) -> str:
    """A URI that means the same from any working directory: folders are made absolute, others are kept."""
    return uri if "://" in uri else os.path.abspath(os.path.expanduser(uri))
