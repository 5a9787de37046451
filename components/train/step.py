"""The declaration of the step train."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.shared.finding import Look
from components.shared.step import MODEL, Image, Product, Step
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    from components.train.methods.method import TrainingMethod

TRAINED = Product("train", 5, MODEL)
REFERENCE = Product("train-reference", 1, "reference-log-probs/1")
"""Log-probs under a start. Raise its version whenever the forward pass that computes them changes them."""


def _examine(settings: TrainSettings, where: str, inputs: Mapping[str, str]) -> Iterator[Look]:
    """Whether the training can start from the files of the model that it starts from.

    Trainings of one method that differ in what is checked, such as the layers with adapters, are looked at one by one.
    """
    start = inputs["start"]
    layers = "" if settings.lora is None else f", adapters of {', '.join(settings.lora.target_modules)}"

    def look() -> str:
        from components.train.check_start import check_start

        check_start(start, settings, where)
        return f"{settings.method}{layers}"

    key = f"{where} {start}, {settings.max_length} tokens{layers}"
    yield Look(where, start, look, key, needs=f"model {start}")
    yield from _method(settings).looks(settings, where)


def _image_needed(settings: TrainSettings) -> Image | None:
    return _method(settings).image_needed(settings)


def _check_machine(settings: TrainSettings) -> None:
    _method(settings).check_machine(settings)


def _method(settings: TrainSettings) -> "TrainingMethod[Any]":
    from components.train.methods.registry import method_of

    return method_of(settings)


def _embed(settings: TrainSettings) -> TrainSettings:
    """The settings with the content of the DeepSpeed configuration that they name."""
    from components.train.engine.deepspeed_config import with_config_read

    return with_config_read(settings)


STEP = Step(
    name="train",
    does="train the student on the selected responses, in a job of torchrun and DeepSpeed",
    settings=TrainSettings,
    inputs={"dataset": "selection/1", "start": MODEL},
    image_needed=_image_needed,
    check_machine=_check_machine,
    embed=_embed,
    examine=_examine,
    outputs={"model": TRAINED},
    parts=(REFERENCE,),
    program="torchrun",
)
