"""The base of every step's settings."""

from collections.abc import Collection
from typing import Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict


def known(names: Collection[str], what: str) -> AfterValidator:
    """A validator that lets pass only the names of a registry, and says which there are."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"no {what} {name!r}; allowed: {', '.join(names)}")
        return name

    return AfterValidator(check)


class Settings(BaseModel):
    """Frozen, typed, and strict about unknown keys.

    `apart_from_key` names the fields that say where and how fast, not what: endpoints, processes, windows, paths
    whose content is hashed on its own. They do not change an output's address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    apart_from_key: ClassVar[frozenset[str]] = frozenset()

    def key_material(self) -> dict[str, Any]:
        """What of the settings makes the output, as plain JSON values."""
        return {
            name: _material(getattr(self, name)) for name in type(self).model_fields if name not in self.apart_from_key
        }


def _material(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.key_material()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _material(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_material(item) for item in value]
    return value
