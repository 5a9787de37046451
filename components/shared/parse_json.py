"""Reads JSON that this or an earlier version of Tutelage has written."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from components.shared.errors import DamagedError

Parsed = TypeVar("Parsed")


def parse_json(data: bytes | str, kind: type[Parsed], where: str, remedy: str) -> Parsed:
    """Validate JSON as a model, or as a plain type such as `dict[str, Any]`.

    Args:
        data: the JSON text.
        kind: what it must be.
        where: the file's path or URI, for the message.
        remedy: for the message.

    Raises:
        DamagedError: it is not JSON, or not of that kind; names the first field that is wrong.
    """
    try:
        return TypeAdapter(kind).validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise DamagedError(
            f"{where} is damaged: {place + ': ' if place else ''}{fault['msg']}", remedy=remedy
        ) from error
