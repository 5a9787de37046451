"""Settings of the synthesize step."""

from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from components.launch.job import Launch
from components.models.teacher import Price, Sampling, TeacherSettings
from components.shared.rows import Origin
from components.shared.settings import Settings

ASKED: tuple[Origin, ...] = ("teacher", "student")


class SynthesizeSettings(Settings):
    """Who answers the instructions, how, and on what.

    The paper (arXiv 2411.02939, section 3) sets three responses to each instruction: the original one, the
    teacher's and the small model's. It leaves sampling open.
    """

    apart_from_key: ClassVar[frozenset[str]] = frozenset(
        {"failed_share", "actors", "cpus_per_actor", "gpus_per_actor", "launch"}
    )

    teacher: TeacherSettings | None = Field(None, description="the large model; needed for the origin `teacher`")
    student: TeacherSettings | None = Field(
        None, description="the small model, as teacher settings or just its reference; needed for the origin `student`"
    )
    teacher_sampling: Sampling = Field(Sampling(), description="how the teacher's answers are drawn")
    student_sampling: Sampling = Field(Sampling(), description="how the student's answers are drawn")
    origins: tuple[Origin, ...] = Field(
        ("original", "teacher", "student"), min_length=1, description="which responses each row gets, in this order"
    )
    system_prompt: str = Field(
        "", description="system message for instructions without one of their own; it is not written into the rows"
    )
    rows_per_shard: int = Field(
        512, ge=1, le=100_000, description="rows of one shard, which is also one piece of work of an actor"
    )
    failed_share: float = Field(0.05, ge=0, le=1, description="largest share of one origin's answers that may fail")
    actors: int = Field(2, ge=1, description="Ray actors that run local models (the openai client is always one)")
    cpus_per_actor: int = Field(1, ge=1, description="CPU cores of one actor")
    gpus_per_actor: int = Field(0, ge=0, description="GPUs of one actor; vllm splits its model over them")
    launch: Launch = Field(Launch(), description="what runs the job")

    @field_validator("student", mode="before")
    @classmethod
    def _from_reference(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> "SynthesizeSettings":
        if len(set(self.origins)) != len(self.origins):
            raise ValueError("origins: each may stand once")
        for origin in self.asked:
            if getattr(self, origin) is None:
                raise ValueError(f"{origin}: needed, since origins holds {origin!r}")
        currencies = {price.currency for price in self._prices() if price.per_million_in or price.per_million_out}
        if len(currencies) > 1:
            raise ValueError(f"price: teacher and student have different currencies: {', '.join(sorted(currencies))}")
        return self

    @property
    def asked(self) -> tuple[Origin, ...]:
        """The origins that a model is asked for, the teacher first."""
        return tuple(origin for origin in ASKED if origin in self.origins)

    def model_of(self, origin: Origin) -> TeacherSettings:
        """Who answers as this origin."""
        model = self.teacher if origin == "teacher" else self.student
        assert model is not None  # _complete has seen to it
        return model

    def sampling_of(self, origin: Origin) -> Sampling:
        """How this origin's answers are drawn."""
        return self.teacher_sampling if origin == "teacher" else self.student_sampling

    @property
    def currency(self) -> str:
        """The price lists' one currency; empty when nothing costs anything."""
        paid = [price for price in self._prices() if price.per_million_in or price.per_million_out]
        return paid[0].currency if paid else ""

    def _prices(self) -> list[Price]:
        return [self.model_of(origin).price for origin in self.asked]
