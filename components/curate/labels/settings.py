"""Settings of labelling: who gives the labels, and how a teacher is asked for them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.models.generators.generator import GeneratorSettings, Sampling
from components.models.generators.registry import AnyGeneratorSettings
from components.shared.settings import Settings

INSTRUCTION_PLACE = "{instruction}"

LABEL_TEMPLATE = """Give the instruction below two labels: a broad category and a narrower one within it.
Answer with exactly one line in lower case, of the form: PRIMARY / SECONDARY
Each label is one to three words, such as: mathematics / algebra

Instruction:
{instruction}"""


class LabelSettings(Settings):
    """Who labels instructions, and how."""

    labeller: Literal["teacher", "rules"] = Field(
        "teacher", description="who gives the two-level labels; rules: the type's group and name, without a teacher"
    )
    teacher: AnyGeneratorSettings | None = Field(None, description="the teacher that labels")
    label_sampling: Sampling = Field(Sampling(max_tokens=32), description="how labels are sampled from the teacher")
    label_template: str = Field(LABEL_TEMPLATE, description="the prompt; {instruction} is replaced by the instruction")
    label_characters: int = Field(2000, ge=50, description="characters of the instruction shown to the labeller")
    unlabelled_share: float = Field(
        0.1, ge=0, le=1, description="the step fails when a larger share of the replies has no label"
    )

    @property
    def model_asked(self) -> tuple[GeneratorSettings, Sampling] | None:
        """The model that is asked for labels, and its sampling; None if rules give them."""
        return (self.teacher, self.label_sampling) if self.labeller == "teacher" and self.teacher else None

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if self.labeller == "teacher" and self.teacher is None:
            raise ValueError("labeller 'teacher' needs `teacher` (backend and model); or set labeller to 'rules'")
        if self.label_template.count(INSTRUCTION_PLACE) != 1:
            raise ValueError(f"label_template must contain {INSTRUCTION_PLACE} exactly once")
        return self
