"""The model that a step asks: files that it gets as an input, or an endpoint that its settings name."""

from components.models.generators.generator import GeneratorSettings, LocalGenerator
from components.models.generators.local_model import ModelFolder
from components.models.reference import as_parent, local_model
from components.shared.errors import InputError
from components.shared.outputs.digest import digest_value
from components.shared.outputs.manifest import Parent


def asked_parent(generator: GeneratorSettings, model: str, purpose: str, *, allow_pickled: bool = False) -> Parent:
    """The model as an input of the step.

    Args:
        generator: the backend; one behind an endpoint answers without files.
        model: reference of the model; empty where an endpoint answers.
        purpose: what the step does with it, as a verb, for the error.
        allow_pickled: accept weights that are not safetensors.

    Raises:
        InputError: neither a model nor an endpoint is named.
        ModelError: no such model, or its weights are not safetensors and `allow_pickled` is not set.
    """
    if generator.is_remote:
        # Its address has the form of no address in a store.
        return Parent(address=f"{generator.backend}:{generator.model}", digest=digest_value(generator.key_material()))
    if not model:
        raise InputError(
            f"no model to {purpose}",
            rule="a model is named by its reference, unless `generator` is an endpoint, which answers without files",
            remedy="pass the reference of a model, or set `generator` to the endpoint's settings",
        )
    return as_parent(model, allow_pickled)


def open_asked(generator: GeneratorSettings, model: str) -> LocalGenerator:
    """Load a model that runs in this process. Raises what `GeneratorSettings.open_folder` raises."""
    return generator.open_folder(ModelFolder(local_model(model), model))
