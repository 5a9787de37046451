"""The declaration of a pipeline; `pipelines/registry.py` lists all pipelines."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from components.shared.finding import Look
from components.shared.settings import Settings
from components.shared.step import ExternalInput
from pipelines.placement.placement import Placement
from pipelines.placement.task import Fault, Task
from pipelines.preview.preview import Preview

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"


class Recipe(Settings):
    """The part that the recipes of all pipelines share. A recipe is one YAML file with everything about a run.

    Each pipeline has a class of its own, whose field `pipeline` holds the pipeline's name.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"placement", "store", "variables", "title"})

    name: str = Field(pattern=NAME_PATTERN, description="the run's name: 1 to 40 lower-case letters, digits and -")
    title: str = Field("", description="one line for people")
    pipeline: str = Field(description="the pipeline that runs")
    store: str = Field(description="root of all outputs: s3://BUCKET/PREFIX or a folder")
    variables: dict[str, str] = Field({}, description="values for ${NAME} in this file; --set NAME=VALUE overrides one")
    placement: Placement = Placement()


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One pipeline. Its functions take recipes of its own class.

    Attributes:
        name: as a recipe's `pipeline` names it.
        does: one line for the tables of the docs.
        recipe: the class of its recipes.
        build: returns the kfp pipeline of a recipe with its placement; None for a run on this machine, without pods.
        tasks: the tasks of a recipe, in the order in which they run.
        find_faults: checks of a recipe beyond its types.
        external_inputs: files and models that a recipe names outside the settings of its steps.
        examine: what doctor checks besides the needs of the steps.
        outlives_failures: whether a run on this machine goes on, as on a cluster, with the tasks that do not depend on
            one that failed. Its tasks' outputs are then recorded in the store, as every run on a cluster does, for
            a task that runs after others whether or not they succeeded.
        preview: what `tutelage preview` does with a recipe, for a number of rows; None: there is no preview.
    """

    name: str
    does: str
    recipe: type[Recipe]
    build: Callable[[Any, Placement | None], Any]
    tasks: Callable[[Any], Sequence[Task]]
    find_faults: Callable[[Any], Iterable[Fault]] = lambda _recipe: ()
    external_inputs: Callable[[Any], Iterable[ExternalInput]] = lambda _recipe: ()
    examine: Callable[[Any], Iterable[Look]] = lambda _recipe: ()
    outlives_failures: bool = False
    preview: Callable[[Any, int], Preview] | None = None
