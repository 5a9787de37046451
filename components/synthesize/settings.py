"""Settings of the synthesize step."""

from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from components.launch.ray.settings import RayActors
from components.models.generators.generator import Ability, GeneratorSettings, Price, Sampling
from components.models.generators.registry import AnyGeneratorSettings
from components.shared.rows import Origin
from components.shared.settings import Settings

ASKED: tuple[Origin, ...] = ("teacher", "student")


class SynthesizeSettings(RayActors):
    """Which models answer the instructions, how, and where.

    The paper (arXiv 2411.02939, section 3) sets three responses to each instruction: the original one, the
    teacher's and the small model's. It does not specify the sampling.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = RayActors.not_in_cache_key | {"failed_share"}
    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"teacher_samples", "student_samples"})

    teacher: AnyGeneratorSettings | None = Field(None, description="the large model; needed for the origin `teacher`")
    student: AnyGeneratorSettings | None = Field(
        None,
        description="the small model, as settings or just its reference; needed for the origin `student`",
    )
    teacher_sampling: Sampling = Field(Sampling(), description="how the teacher's answers are sampled")
    student_sampling: Sampling = Field(Sampling(), description="how the student's answers are sampled")
    teacher_samples: int = Field(
        1,
        ge=1,
        le=256,
        description="answers of the teacher to each instruction, each a response of its own: select checks and scores "
        "all of them (rejection sampling, if the teacher is the student itself)",
    )
    student_samples: int = Field(1, ge=1, le=256, description="the same for the student")
    origins: tuple[Origin, ...] = Field(
        ("original", "teacher", "student"), min_length=1, description="which responses each row gets, in this order"
    )
    system_prompt: str = Field(
        "", description="system message for instructions without one; it is not written into the rows"
    )
    rows_per_shard: int = Field(
        512, ge=1, le=100_000, description="rows of one shard, which is also one task of an actor"
    )
    failed_share: float = Field(0.05, ge=0, le=1, description="share of one origin's answers that may fail, 0 to 1")

    @field_validator("student", mode="before")
    @classmethod
    def _from_reference(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> "SynthesizeSettings":
        if len(set(self.origins)) != len(self.origins):
            raise ValueError("origins: each must be unique")
        for origin in self.asked:
            if getattr(self, origin) is None:
                raise ValueError(f"{origin}: needed, since origins contains {origin!r}")
        for origin in self.asked:
            self._check_samples(origin)
        currencies = {price.currency for price in self._prices() if price.per_million_in or price.per_million_out}
        if len(currencies) > 1:
            raise ValueError(f"price: teacher and student have different currencies: {', '.join(sorted(currencies))}")
        return self

    def _check_samples(self, origin: Origin) -> None:
        """Refuse several samples where all of them would be equal. Raises ValueError."""
        if self.samples_of(origin) == 1:
            return
        if self.sampling_of(origin).temperature == 0:
            raise ValueError(
                f"{origin}_samples: {self.samples_of(origin)} greedy answers would be equal; "
                f"set {origin}_sampling.temperature above 0, such as 0.8"
            )
        model = self.model_of(origin)
        if Ability.SAMPLES not in model.abilities:
            raise ValueError(
                f"{origin}_samples: the backend {model.backend!r} cannot sample several answers; set it to 1"
            )

    @property
    def asked(self) -> tuple[Origin, ...]:
        """The origins that a model answers, the teacher first."""
        return tuple(origin for origin in ASKED if origin in self.origins)

    def model_of(self, origin: Origin) -> GeneratorSettings:
        """The model of this origin."""
        model = self.teacher if origin == "teacher" else self.student
        assert model is not None  # _complete ensures it
        return model

    def sampling_of(self, origin: Origin) -> Sampling:
        """How this origin's answers are sampled."""
        return self.teacher_sampling if origin == "teacher" else self.student_sampling

    def samples_of(self, origin: Origin) -> int:
        """How many answers to each instruction this origin gives."""
        return self.teacher_samples if origin == "teacher" else self.student_samples

    @property
    def currency(self) -> str:
        """The currency of the price lists; empty when nothing costs anything."""
        paid = [price for price in self._prices() if price.per_million_in or price.per_million_out]
        return paid[0].currency if paid else ""

    def _prices(self) -> list[Price]:
        return [self.model_of(origin).price for origin in self.asked]


class Assignment(Settings):
    """The content of the job file. It holds no secrets: keys are read from the variables that the settings name.

    `address` and `dataset` (the instructions' address) are relative to `root`.
    """

    root: str
    address: str
    dataset: str
    settings: SynthesizeSettings
