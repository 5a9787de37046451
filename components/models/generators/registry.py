"""The backends of generators by name. A new one is a file or folder beside this one, and a line here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from components.models.generators.generator import GeneratorSettings
from components.models.generators.openai.settings import OpenAISettings
from components.models.generators.transformers import TransformersSettings
from components.models.generators.vllm import VllmSettings
from components.shared.settings import Settings
from components.shared.settings_union import SettingsUnion

BACKENDS: dict[str, type[GeneratorSettings]] = {
    "transformers": TransformersSettings,
    "openai": OpenAISettings,
    "vllm": VllmSettings,
}

CHOICE = SettingsUnion("backend", BACKENDS, "backend", default="transformers")
AnyGeneratorSettings = Annotated[GeneratorSettings, CHOICE]
"""The type of a field that holds the settings of any backend."""


@dataclass(frozen=True, eq=False)
class ModelFromInput(SettingsUnion):
    """A backend for the model that a step gets as its input; only an endpoint's settings name a model."""

    def parse(self, value: Any) -> Settings:
        """As a union does; `model` is left out, except for an endpoint. Raises ValidationError and ValueError."""
        parsed = super().parse({"model": "", **value} if isinstance(value, Mapping) else value)
        assert isinstance(parsed, GeneratorSettings)
        if parsed.is_remote and not parsed.model:
            raise ValueError(f"backend {parsed.backend!r} needs `model`: the name that the endpoint serves")
        if parsed.model and not parsed.is_remote:
            raise ValueError(f"backend {parsed.backend!r} runs the step's own models: leave `model` out")
        return parsed

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """One of the members' schemas, where only endpoints require a model."""
        return {"oneOf": [self._member_schema(member, handler) for member in self.members.values()]}

    def _member_schema(self, member: type[Settings], handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = dict(handler.resolve_ref_schema(handler(member.__pydantic_core_schema__)))
        assert issubclass(member, GeneratorSettings)
        if not member.is_remote:
            shown["required"] = [name for name in shown.get("required", []) if name != "model"]
        return shown


BACKEND = ModelFromInput("backend", BACKENDS, "backend", default="transformers")
AnyBackendSettings = Annotated[GeneratorSettings, BACKEND]
"""The type of a field that holds a backend for the models that a step gets as inputs."""
