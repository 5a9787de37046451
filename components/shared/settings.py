"""The base of every step's settings."""

from collections.abc import Callable, Collection
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Names = Collection[str] | Callable[[], Collection[str]]


class _Known:
    """In an annotation: a string has to be one of the names of a registry; its JSON schema lists them as `enum`.

    The registry is read when a value is checked, so that a test can add to it.
    """

    def __init__(self, names: Names, what: str, also: Collection[str]) -> None:
        self._registry, self._what, self._also = names, what, also

    @property
    def _names(self) -> list[str]:
        return [*self._also, *(self._registry() if callable(self._registry) else self._registry)]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": self._names}

    def _check(self, name: str) -> str:
        if name not in self._names:
            raise ValueError(f"no {self._what} {name!r}; allowed: {', '.join(self._names)}")
        return name


def known(names: Names, what: str, also: Collection[str] = ()) -> _Known:
    """The annotation for a name out of a registry: `Annotated[str, known(METHODS, "training method")]`.

    Args:
        names: the registry, or a function that returns the names in it that fit.
        what: what is named, for the message.
        also: names that are allowed beside those of the registry, such as `auto`.
    """
    return _Known(names, what, also)


class Settings(BaseModel):
    """Frozen, typed, and strict about unknown keys.

    `not_in_cache_key` names the fields that do not change what is made: endpoints, processes, windows, paths whose
    content is hashed separately. They do not change an output's address.

    `not_in_cache_key_at_default` names the fields that were added later and whose default makes what was made before:
    at their defaults, they leave the addresses of earlier outputs as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset()
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset()

    def key_material(self) -> dict[str, Any]:
        """The settings that are in the cache key, as plain JSON values."""
        return {
            name: _material(getattr(self, name))
            for name in type(self).model_fields
            if name not in self.not_in_cache_key and not self._is_left_out(name)
        }

    def _is_left_out(self, name: str) -> bool:
        default = type(self).model_fields[name].get_default(call_default_factory=True)
        return name in self.not_in_cache_key_at_default and getattr(self, name) == default


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
