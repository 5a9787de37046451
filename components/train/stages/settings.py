"""The settings of pipeline stages, and which layers each stage has."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.shared.settings import Settings
from components.shared.text.counted import counted


class StageSettings(Settings):
    """A model as consecutive stages, one or more on each process, which micro-batches pass through.

    Several pipelines are beside each other, each with all layers: micro-batches are dealt to them, and gradients are
    summed over them once a step.

    The weights of a step's passes are those before the step: no schedule here has stale weights. PipeDream's (Harlap
    and others, arXiv 1806.03377) overlaps steps at that price; a zero-bubble schedule overlaps as much within a step.
    """

    pipelines: int = Field(
        1,
        ge=1,
        description="pipelines beside each other, each with all layers on equally many processes of its own; they "
        "divide the micro-batches",
    )
    count: int | None = Field(
        None,
        ge=2,
        description="stages of a pipeline, whose layers are chosen by cost; left out, without `layers`: one on each of "
        "its processes",
    )
    layers: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, min_length=2, description="layers of each stage of every pipeline instead, from the first, such as [4, 2]"
    )
    schedule: Literal["1f1b", "interleaved", "zero_bubble"] = Field(
        "1f1b",
        description="1f1b: one stage on each process (Narayanan and others, arXiv 2104.04473); interleaved: several, "
        "stage i on process i modulo processes, for less idle time and more transfers; zero_bubble: one or more, with "
        "the gradients of weights computed where a process would be idle (Qi and others, arXiv 2401.10241)",
    )
    micro_batches: int = Field(
        4,
        ge=1,
        description="packed micro-batches of an optimizer step, all of one length, over all pipelines; more leave less "
        "idle time",
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.count is not None and self.layers is not None:
            raise ValueError(
                f"stages has count {self.count} and layers {list(self.layers)}: layers says how many stages there are; "
                "leave one of them out"
            )
        return self

    def number(self, ranks: int) -> int:
        """How many stages a pipeline has."""
        if self.layers is not None:
            return len(self.layers)
        return ranks // self.pipelines if self.count is None else self.count

    def shares(self) -> list[int]:
        """The micro-batches of a step in each pipeline; the first ones have one more than the last."""
        each, more = divmod(self.micro_batches, self.pipelines)
        return [each + (place < more) for place in range(self.pipelines)]

    def spans(self, layers: int, ranks: int) -> list[tuple[int, int]]:
        """The layers [first, end) of each stage of a pipeline; the first stages have one more than the last.

        Args:
            layers: of the model.
            ranks: processes of all pipelines.

        Raises:
            ValueError: a pipeline has one process, the stages are more than the layers, or list another number of
                layers.
        """
        if ranks < 2 * self.pipelines:
            each = "" if self.pipelines == 1 else f" in each of {self.pipelines} pipelines"
            raise ValueError(f"stages need 2 or more processes{each}: set launch.processes_per_node or launch.nodes")
        stages = self.number(ranks)
        if self.layers is not None and sum(self.layers) != layers:
            raise ValueError(
                f"stages.layers {list(self.layers)} add up to {sum(self.layers)}, and the model has {layers} layers"
            )
        if stages > layers:
            raise ValueError(f"{stages} stages are more than the model's {counted(layers, 'layer')}")
        sizes = self.layers or [layers // stages + (place < layers % stages) for place in range(stages)]
        ends = [sum(sizes[: place + 1]) for place in range(stages)]
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def check(self, ranks: int, global_batch: int) -> None:
        """Raises ValueError where the schedule does not fit the processes or a step's rows.

        One process fits here: a placement may set more. `spans` refuses it.
        """
        if self.micro_batches > global_batch:
            raise ValueError(
                f"stages.micro_batches {self.micro_batches} is more than the {counted(global_batch, 'row')} of a step: "
                f"at most {global_batch} are allowed"
            )
        if self.micro_batches < self.pipelines:
            raise ValueError(
                f"stages.micro_batches {self.micro_batches} is less than {self.pipelines} pipelines, each of which "
                f"computes at least one: set {self.pipelines} or more"
            )
        if ranks == 1:
            return
        if ranks % self.pipelines or ranks < 2 * self.pipelines:
            raise ValueError(
                f"stages.pipelines {self.pipelines} does not fit {ranks} processes: pipelines have equally many, 2 or "
                f"more. Allowed: {', '.join(map(str, pipelines_of(ranks)))}, or other launch.nodes or "
                "launch.processes_per_node"
            )
        self._check_schedule(ranks // self.pipelines)

    def _check_schedule(self, ranks: int) -> None:
        """The same for the processes of one pipeline."""
        stages, fewest = self.number(ranks * self.pipelines), self.micro_batches // self.pipelines
        if self.schedule == "1f1b" and stages != ranks:
            raise ValueError(
                f"schedule 1f1b has one stage on each process, and there are {stages} stages on "
                f"{ranks} processes: allowed are {ranks} stages, or schedule interleaved or zero_bubble"
            )
        if self.schedule == "1f1b" and fewest < stages:
            raise ValueError(
                f"schedule 1f1b fills {stages} stages with as many micro-batches, and stages.micro_batches "
                f"{self.micro_batches} gives a pipeline {fewest}: set {stages * self.pipelines} or more"
            )
        if stages % ranks or (self.schedule == "interleaved" and stages == ranks):
            least = 2 * ranks if self.schedule == "interleaved" else ranks
            raise ValueError(
                f"schedule {self.schedule} has equally many stages on each process: {stages} stages on {ranks} "
                f"processes are not allowed; {least} or a larger multiple of {ranks} are"
            )
        for micro_batches in sorted(set(self.shares())) if self.schedule != "1f1b" else ():
            rounds = max(1, micro_batches // ranks)
            if micro_batches % rounds:
                raise ValueError(
                    f"schedule {self.schedule} makes {rounds} equal rounds of about {ranks} micro-batches, and the "
                    f"{micro_batches} of a pipeline (stages.micro_batches {self.micro_batches}) are not divisible by "
                    f"that: set a multiple of {ranks * self.pipelines}"
                )


def pipelines_of(ranks: int) -> list[int]:
    """Numbers of pipelines with equally many processes, two or more in each."""
    return [number for number in range(1, ranks // 2 + 1) if ranks % number == 0]
