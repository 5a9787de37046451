"""Where the rows of a study come from: the steps from collect to select, with fewer words for rows as they are, or a
selection that is there."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.adopt.settings import AdoptSettings
from components.collect.settings import CollectSettings
from components.curate.settings import CurateSettings
from components.select.settings import SelectSettings
from components.shared.step import ExternalInput
from components.shared.store.uri import is_address
from components.synthesize.settings import SynthesizeSettings
from components.train.methods.registry import METHODS
from pipelines.placement.task import Fault
from pipelines.study.arms import point_of
from pipelines.study.recipe import AS_GIVEN, StudyRecipe

PREPARING = ("curate", "synthesize", "select")
CURATE_AS_GIVEN = CurateSettings.model_validate({"labeller": "rules", "rare_below": 1})
SYNTHESIZE_AS_GIVEN = SynthesizeSettings.model_validate({"origins": ["original"]})
SELECT_AS_GIVEN = SelectSettings.model_validate({"perplexity": {"scorer": "none"}, "quality": {"scorer": "none"}})


@dataclass(frozen=True)
class GivenSteps:
    """The settings of the steps that make the rows and the questions."""

    collect: CollectSettings
    curate: CurateSettings
    synthesize: SynthesizeSettings
    select: SelectSettings


def steps_of(recipe: StudyRecipe) -> GivenSteps | None:
    """The steps that make the data; None where a selection is there, and of a recipe that has faults here."""
    if recipe.adopts or any(find_row_faults(recipe)):
        return None
    assert recipe.collect is not None, "find_row_faults refuses a recipe without it"
    return GivenSteps(
        collect=recipe.collect,
        curate=recipe.curate or CURATE_AS_GIVEN,
        synthesize=recipe.synthesize or SYNTHESIZE_AS_GIVEN,
        select=recipe.select or SELECT_AS_GIVEN,
    )


def find_row_faults(recipe: StudyRecipe) -> Iterator[Fault]:
    """Sections that are missing, or that nothing would read."""
    needed = ("collect",) if recipe.rows == AS_GIVEN else ("collect", *PREPARING)
    for name in needed:
        if recipe.adopts and getattr(recipe, name) is not None:
            yield Fault(
                (name,),
                f"nothing would read {name}\n    rule: rows and questions are those of the selection {recipe.rows!r}"
                "\n    remedy: leave it out, or leave out rows",
            )
        elif not recipe.adopts and getattr(recipe, name) is None:
            yield Fault(
                (name,),
                f"{name} is missing\n    rule: it makes the rows to train on\n    remedy: add it, or say in `rows` "
                f"where they are: {AS_GIVEN}, or the address of a selection, select/KEY, or its URI in another store",
            )


def rows_elsewhere(recipe: StudyRecipe) -> Iterator[ExternalInput]:
    """The selection, where a URI names it."""
    if recipe.adopts and not is_address(recipe.rows):
        yield ExternalInput(("rows",), recipe.rows)


def adopt_settings(recipe: StudyRecipe) -> AdoptSettings:
    """What the selection must hold: the rows that the arms' methods read, and the questions."""
    parts: dict[str, tuple[str, ...]] = {method.part: () for method in METHODS.values()}
    stages = (stage for _, arm in recipe.given_arms for stage in point_of(arm).chain.stages)
    for name in dict.fromkeys(stage.method for stage in stages):
        parts[METHODS[recipe.methods[name].settings.method].part] += (name,)
    return AdoptSettings(parts=parts, benchmarks=tuple(dict.fromkeys((recipe.primary, *recipe.judged))))
