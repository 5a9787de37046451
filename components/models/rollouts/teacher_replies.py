"""What a teacher's kept replies depend on: their address is of these."""

from collections.abc import Mapping

from pydantic import Field

from components.models.generators.generator import Ability, GeneratorSettings, Sampling
from components.models.generators.registry import AnyGeneratorSettings
from components.models.reference import as_parent
from components.shared.outputs.manifest import Parent
from components.shared.outputs.output import address_of
from components.shared.settings import Settings
from components.shared.step import Product


class TeacherReplies(Settings):
    """What a reply of the teacher depends on besides its conversation: the address of kept replies is of these."""

    teacher: AnyGeneratorSettings = Field(description="the teacher")
    sampling: Sampling = Field(description="how its replies are sampled")

    def kept_at(self, product: Product, teacher: Mapping[str, Parent]) -> str:
        """The address of the kept replies of a product; `teacher` is what `teacher_parent` returns."""
        return address_of(product, self, teacher)


def teacher_parent(teacher: GeneratorSettings) -> dict[str, Parent]:
    """A local teacher is an input by its content; a remote one is known by name only.

    Raises:
        ModelError: a local teacher is not there.
    """
    return {} if teacher.is_remote else {"teacher": as_parent(teacher.model)}


def require_samples(name: str, count: int, sampling: Sampling, generator: GeneratorSettings) -> None:
    """Refuse several answers where all would be equal. Raises ValueError."""
    if count == 1:
        return
    if sampling.temperature == 0:
        raise ValueError(f"{name}: {count} greedy answers would be equal; set the temperature above 0, such as 0.7")
    if Ability.SAMPLES not in generator.abilities:
        raise ValueError(f"{name}: the backend {generator.backend!r} cannot sample several answers; set it to 1")
