"""The declaration of a step, in `components/STEP/step.py`; `components/registry.py` lists all steps."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Any, Literal

from pydantic import BaseModel

from components.shared.finding import Look
from components.shared.settings import Settings

MODEL = "model/1"
"""The content of a model: `model/` in an output, or files elsewhere that a model reference names."""
REPORT_CONTENT = "report/1"
"""The content of a run's report: `report.json` and `report.html`."""
IMAGE_VERSION = "0.1.0"
PROJECT = "tutelage"
"""The part of an image's reference before its name, in every registry."""
Location = tuple[str | int, ...]
"""A place in settings or in a recipe: `("train", "sft", "settings")`."""


class Image(Enum):
    """The images that ship, by what is installed in them."""

    LAUNCHER = "launcher"
    RAY = "ray"
    RAY_VLLM = "ray-vllm"
    TRAIN = "train"
    TRAIN_VLLM = "train-vllm"

    @property
    def reference(self) -> str:
        """Its name and tag, which a placement replaces where a site has a registry of its own."""
        return f"{PROJECT}/{self.value}:{IMAGE_VERSION}"

    @classmethod
    def shipped_as(cls, reference: str) -> "Image | None":
        """The image that ships under a reference's name, whatever registry has a copy of it; None: it is another."""
        *_, project, name = ("", *reference.partition("@")[0].split("/"))
        return next((one for one in cls if (project, name.partition(":")[0]) == (PROJECT, one.value)), None)

    @property
    def only_here(self) -> str:
        """The package that tasks choose it for, since no other image has it; empty if there is none."""
        return "vllm" if self in {Image.RAY_VLLM, Image.TRAIN_VLLM} else ""


@dataclass(frozen=True)
class ExternalInput:
    """A file or a model from outside the run that settings name.

    Attributes:
        location: where, from the settings on.
        uri: a path, a URI or, for a model, any reference to one.
        is_model: whether it is a model.
    """

    location: Location
    uri: str
    is_model: bool = False


@dataclass(frozen=True)
class Product:
    """One kind of output: where it is stored, the version of the code that makes it, and what it holds.

    Attributes:
        place: the first part of its address.
        version: raised whenever a change of the code changes the output for the same settings and inputs.
        content: kind and version of the rows or files, such as `instruction/1`.
    """

    place: str
    version: int
    content: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a pipeline.

    Attributes:
        name: its folder below `components/`, the name of its component, and its key in recipes and placements.
        does: one line for the tables of the docs.
        settings: the class of its settings; None for a step without settings.
        inputs: the content of each input of the component, by the input's name.
        outputs: the product of each output of the component, by the output's name.
        parts: intermediate products, at addresses of their own.
        image: the image, of those that ship, of the step and its job.
        image_needed: returns the image, of those that ship, that settings need in place of `image`, for the packages of
            a backend; None: `image` has everything.
        check_machine: raises SettingsError where a task with these settings cannot run on this machine.
        program: what runs its job, `torchrun` or `ray`; empty: it has no job. The settings of a step with a job have a
            field `launch`.
        uses_store: whether it accesses the store, so needs its secrets.
        ends_run: whether it is the exit handler of every pipeline whose jobs run on a cluster. Its component's only
            input is `namespace`.
        external_inputs: returns the files and models that its settings name.
        embed: returns the settings with the content of local files in place of their paths, since pods cannot read
            them. Raises SettingsError.
        examine: returns what doctor checks. It takes the settings, their place in the recipe for messages, and the
            inputs whose value is known before a run, by name.
        documents: the JSON documents that its outputs hold, by the name under which `tutelage schema` prints them.
        component: its component, as `MODULE:FUNCTION`; empty: the one in its folder below `components/`.
    """

    name: str
    does: str
    settings: type[Settings] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Product] = field(default_factory=dict)
    parts: tuple[Product, ...] = ()
    image: Image = Image.TRAIN
    image_needed: Callable[[Any], Image | None] = lambda _settings: None
    check_machine: Callable[[Any], None] = lambda _settings: None
    program: Literal["", "torchrun", "ray"] = ""
    uses_store: bool = True
    ends_run: bool = False
    external_inputs: Callable[[Any], Iterable[ExternalInput]] = lambda _settings: ()
    embed: Callable[[Any], Any] = lambda settings: settings
    examine: Callable[[Any, str, Mapping[str, str]], Iterable[Look]] = lambda _settings, _where, _inputs: ()
    documents: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    component: str = ""

    @property
    def task_name(self) -> str:
        """The name of its task in a pipeline that has only one."""
        return self.name.replace("_", "-")

    def load_component(self) -> Any:
        """Its kfp component."""
        module, _, function = (self.component or f"components.{self.name}.component:{self.name}").partition(":")
        return getattr(import_module(module), function)

    @property
    def products(self) -> tuple[Product, ...]:
        """All kinds of outputs that it makes."""
        return (*self.outputs.values(), *self.parts)
