"""What doctor looks at in generators, which models of this machine settings name, and which image generators need."""

from collections.abc import Iterable, Iterator

from components.models.generators.generator import TRIAL_TOKENS, GeneratorSettings, Sampling
from components.shared.finding import Look
from components.shared.settings import Settings
from components.shared.step import ExternalInput, Image, Location


def look_at(where: str, settings: GeneratorSettings, sampling: Sampling) -> Look:
    """A look at a generator that a step will use: one behind an endpoint is asked, of another the model is looked up.

    Args:
        where: its place in the recipe, in words.
        settings: of the generator.
        sampling: how the step will ask it.
    """
    tokens = min(sampling.max_tokens, TRIAL_TOKENS)
    key = f"{tokens} {settings.model_dump_json()}"
    return Look(where, settings.model, lambda: settings.try_out(sampling), key)


def models_in(settings: Settings, location: Location = ()) -> Iterator[ExternalInput]:
    """The models that settings name, other than those that an endpoint serves."""
    for name, value in settings:
        if name == "model" and value and isinstance(value, str) and not _is_remote(settings):
            yield ExternalInput((*location, name), value, is_model=True)
        elif isinstance(value, Settings):
            yield from models_in(value, (*location, name))


def image_for(generators: Iterable[GeneratorSettings]) -> Image | None:
    """The image, of those that ship, that alone has the packages of these generators; None: none of them needs one."""
    return next((generator.image for generator in generators if generator.image), None)


def _is_remote(settings: Settings) -> bool:
    return isinstance(settings, GeneratorSettings) and settings.is_remote
