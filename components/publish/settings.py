"""Settings of the publish step."""

from typing import ClassVar

from pydantic import Field, field_validator

from components.shared.settings import Settings

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Gate(Settings):
    """The conditions for promotion. Scores, gains and losses are fractions of 1: 0.02 is two points.

    One variant is chosen on the selection part of each benchmark's questions (compare.selection_share) and decided on
    the confirmation part.
    """

    benchmark: str = Field("", description="benchmark that decides; empty takes the comparison's first one")
    min_gain: float = Field(0.0, ge=0, lt=1, description="least gain over the base on that benchmark; always above 0")
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="p-value (paired, two-sided) that the chosen variant's gain on the confirmation part must be below",
    )
    max_loss: dict[str, float] = Field(
        {},
        description="by benchmark: the margin of a non-inferiority test. The one-sided lower bound of the difference "
        "to the base on the confirmation part must be above minus the margin; other benchmarks are not limited. A "
        "margin below 1.6 standard errors of the difference cannot be shown: widen it, or evaluate more questions",
    )
    loss_alpha: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="level of that test, one-sided: the chance to let a variant pass that loses as much as the margin",
    )

    @field_validator("max_loss")
    @classmethod
    def _losses_are_fractions(cls, value: dict[str, float]) -> dict[str, float]:
        wrong = {name: loss for name, loss in value.items() if not 0 < loss <= 1}
        if wrong:
            raise ValueError(
                f"a margin is a fraction from 0 to 1 (0.02 is two points) and above 0, not {wrong}: no number of "
                "questions can show that nothing is lost"
            )
        return value


class PublishSettings(Settings):
    """The gate, the promoted model's name, and what the report says about the run."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"run_name", "recipe_digest", "planted", "order"})

    name: str = Field("student", pattern=NAME_PATTERN, description="the model goes to models/NAME/VERSION")
    version: str = Field(
        "", pattern=rf"^$|{NAME_PATTERN}", description="version of the promoted model; empty takes its short digest"
    )
    license: str = Field("", description="licence of the promoted model for its card, as the hub spells it: apache-2.0")
    gate: Gate = Field(Gate(), description="conditions for promotion")
    planted: str = Field(
        "",
        description="truth file of an audit (path, store URI or package:FILE): which source rows are defective on "
        "purpose. The report then shows how many of each kind were caught; components/publish/README.md has the format",
    )
    title: str = Field("", description="title of the report; empty takes the model's name")
    order: tuple[str, ...] = Field(
        (), description="variants in the order in which the report shows them; others follow by name"
    )
    run_name: str = Field("", description="name of the run, for the report")
    recipe_digest: str = Field("", description="SHA-256 of the recipe that started the run, for the report")
