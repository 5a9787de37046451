"""A field whose settings class is chosen by one of its keys, from a registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from components.shared.settings import Settings


@dataclass(frozen=True, eq=False)
class SettingsUnion:
    """Annotates a field that holds one of a registry's settings classes: `Annotated[Base, SettingsUnion(…)]`.

    pydantic's discriminated unions fix their members when a class is built. This one looks a member up whenever a value
    is read, so an entry in the registry is all that a new member needs.

    Attributes:
        key: the field that chooses the member, such as `backend`.
        members: the registry: each member's class by the value of `key`.
        what: what a member is, in messages.
        default: the member of a mapping without `key`; empty where `key` is required.
        choose: chooses the member by all keys of a mapping, for members that no single key names.
    """

    key: str
    members: Mapping[str, type[Settings]]
    what: str
    default: str = ""
    choose: Callable[[Mapping[str, Any]], str] | None = None

    def parse(self, value: Any) -> Settings:
        """An instance of the member that a mapping names; an instance of a member is returned as it is.

        Raises:
            ValidationError: no such member, a key that the member lacks, or a value that is not valid.
        """
        if isinstance(value, tuple(self.members.values())):
            assert isinstance(value, Settings)
            return value
        if not isinstance(value, Mapping):
            raise _error(value, "mapping", f"expected a mapping of the settings of a {self.what}")
        member = self._member(value)
        self._refuse_unknown_keys(member, value)
        return member.model_validate(value)

    def _member(self, value: Mapping[str, Any]) -> type[Settings]:
        name = self._chosen(value)
        if isinstance(name, str) and name in self.members:
            return self.members[name]
        allowed = ", ".join(self.members)
        if self.key not in value:
            raise _error(value, "missing_choice", f"the key '{self.key}' is missing; allowed: {allowed}")
        raise _error(name, "unknown_choice", f"no {self.what} {name!r}; allowed: {allowed}", self.key)

    def _chosen(self, value: Mapping[str, Any]) -> Any:
        return self.choose(value) if self.choose else value.get(self.key, self.default)

    def _refuse_unknown_keys(self, member: type[Settings], value: Mapping[str, Any]) -> None:
        fields = member.model_fields
        message = f"{self.what} {self._chosen(value)!r} has no such key; allowed: {', '.join(sorted(fields))}"
        unknown = [_details(value[name], "unknown_key", message, name) for name in value if name not in fields]
        if unknown:
            raise ValidationError.from_exception_data(member.__name__, unknown)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by the registry; serialise the fields of the member, not those of the base alone."""
        return core_schema.no_info_plain_validator_function(
            self.parse, serialization=core_schema.simple_ser_schema("any")
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """One of the members' schemas."""
        return {"oneOf": [handler(member.__pydantic_core_schema__) for member in self.members.values()]}


def _details(value: Any, kind: str, message: str, *location: str) -> InitErrorDetails:
    # Braces would be read as places to fill in.
    error = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=location, input=value)


def _error(value: Any, kind: str, message: str, *location: str) -> ValidationError:
    return ValidationError.from_exception_data("settings", [_details(value, kind, message, *location)])
