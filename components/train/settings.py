"""The settings that all training methods share: what is trained (the cache key), and where and how fast."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.launch.fewer_nodes import on_fewest_nodes
from components.launch.job import Launch
from components.shared.settings import Settings
from components.shared.text.counted import counted
from components.train.stages.settings import StageSettings

ALL_LINEAR = "all-linear"
FORWARD_RULE = "micro_batch, as it divides a rank's rows"
SHARES_STAGES = (0, 1, 2)
STAGES_ZERO = ("auto", 0, 1)
STAGES_RULE = "stages train without ZeRO, since each process has weights, gradients and optimizer of its own layers"
PADDED_RULE = "only packed rows are dealt by speed: the losses of padded batches are means over equally many rows"
SHARES_RULE = "shares 'speed' needs ZeRO stage 0, 1 or 2 without offloading: processes make passes of their own"


class LoraSettings(Settings):
    """Low-rank adapters instead of all weights (Hu and others, arXiv 2106.09685)."""

    rank: int = Field(16, ge=1, le=1024, description="rank r of the update B·A")
    alpha: float = Field(32.0, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A; above 0, results depend on the ranks")
    target_modules: tuple[str, ...] = Field(
        (ALL_LINEAR,), description="names of the layers that get adapters; all-linear: every linear layer but the head"
    )
    keep_adapter: bool = Field(False, description="also keep the adapter, in `adapter/`, beside the merged model")


class ZeroSettings(Settings):
    """DeepSpeed ZeRO (Rajbhandari and others, arXiv 1910.02054), where `deepspeed_config` is left out."""

    stage: Literal["auto", 0, 1, 2, 3] = Field(
        "auto",
        description="0 shards nothing, 1 the optimizer's state over the ranks, 2 gradients too, 3 the weights too; "
        "0 and 1 reduce gradients once in an optimizer step, 2 and 3 in every micro-batch. auto: decided in the job, "
        "by an estimate of memory (components/train/memory.py)",
    )
    offload: Literal["none", "optimizer", "optimizer+parameters"] = Field(
        "none", description="what is kept in host memory rather than on the GPU; parameters need stage 3"
    )

    @model_validator(mode="after")
    def _offload_fits_stage(self) -> Self:
        if self.offload == "optimizer+parameters" and self.stage not in ("auto", 3):
            raise ValueError(f"offload 'optimizer+parameters' needs stage 3: stage {self.stage} keeps all parameters")
        if self.offload == "optimizer" and self.stage == 0:
            raise ValueError("offload 'optimizer' needs stage 1, 2 or 3: stage 0 has no partition to offload")
        return self


class TrainSettings(Settings):
    """How a model is trained, whatever the method; each method's file adds its own (`methods/`).

    The number of ranks does not change what is computed, but for rounding.
    """

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset(
        {
            "micro_batch",
            "micro_batch_tokens",
            "shares",
            "stages",
            "gradient_checkpointing",
            "checkpoint_steps",
            "checkpoints_kept",
            "hand_over_epochs",
            "on_divergence",
            "when_empty",
            "allow_remote_code",
            "allow_pickled_weights",
            "launch",
        }
    )

    not_in_cache_key_at_default: ClassVar[frozenset[str]] = frozenset({"deepspeed", "stop_after_epochs"})
    """What `auto` chooses changes results by rounding alone; a stage that is set explicitly is in the key."""

    runs_in_stages: ClassVar[bool] = False
    """Whether stages can pass on all that a step reads, so that the last one of a pipeline has its loss."""

    method: str = Field(description="the training method")
    learning_rate: float = Field(
        1e-6, gt=0, le=1, description="peak of the schedule; the paper (arXiv 2411.02939) uses 1e-6 and 5e-8"
    )
    epochs: int = Field(3, ge=1, le=1000, description="passes over the rows; the paper: 3")
    stop_after_epochs: int | None = Field(
        None,
        ge=1,
        description="end the training after so many of its epochs, with the learning rate that the schedule of "
        "`epochs` has reached; left out: after all",
    )
    hand_over_epochs: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="earlier epochs whose models are kept too, each as the output of a training with these settings "
        "and that stop_after_epochs, which then need not run",
    )
    global_batch: int = Field(32, ge=1, description="rows in one optimizer step, over all ranks and accumulation")
    micro_batch: int = Field(
        8, ge=1, description="most rows of one process in a forward pass, unless the method fixes their number"
    )
    micro_batch_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="most positions of one process in a forward pass, beside micro_batch, so that memory is steady; a "
        "longer row is a micro-batch of its own. auto: as many as fit the free memory by an estimate, which the job "
        "logs. Left out: micro_batch alone. Padded batches ignore it",
    )
    shares: Literal["even", "speed"] = Field(
        "even",
        description="each process's share of a step's tokens. even: equal; speed: in proportion to its speed, as "
        "launch.speeds gives it, or else as measured at the start and again when a process becomes slower. For GPUs of "
        "several kinds; on packed rows, with ZeRO stages 0, 1 and 2",
    )
    stages: StageSettings | None = Field(
        None,
        description="the model's layers on several processes as stages of a pipeline, for a model that one GPU cannot "
        "hold; left out: every process has all of them, or ZeRO shards them. On packed rows, without ZeRO",
    )
    max_length: int = Field(1024, ge=8, description="longest row, prompt and response, in tokens; the paper: 1024")
    over_long: Literal["truncate", "drop"] = Field(
        "truncate",
        description="rows longer than max_length: truncated (without an end token then), or dropped. A row whose "
        "prompt alone reaches max_length is always dropped",
    )
    scheduler: Literal["cosine", "linear", "constant"] = Field("cosine", description="learning rate after the warm-up")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="share of the steps with a linear warm-up from 0")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this L2 norm")
    on_divergence: Literal["fail", "finish"] = Field(
        "fail",
        description="a loss, gradient or weight that is infinite or NaN: fail ends the step with an error; finish "
        "completes its output without a model, with diverged.json instead (a study tries rates that may be too large)",
    )
    when_empty: Literal["fail", "pass_through"] = Field(
        "fail",
        description="no rows in the part that the method reads: fail ends the step with an error; pass_through "
        "completes its output without a job, and hands on the model that it starts from (a round of a curriculum may "
        "have nothing left to learn)",
    )
    seed: int = Field(42, ge=0, lt=2**31, description="seed of the order of rows, of dropout and of adapters")
    precision: Literal["bf16", "fp32"] = Field(
        "bf16",
        description="precision of the arithmetic; bf16 keeps fp32 master weights, and needs a GPU or a CPU that has it",
    )
    saved_weights: Literal["as_trained", "fp32"] = Field(
        "as_trained",
        description="as_trained: in the precision above; fp32: bf16 training's master weights. A learning rate of 5e-8 "
        "changes weights by less than bf16 can represent, so such a run should save fp32",
    )
    gradient_checkpointing: Literal["auto"] | bool = Field(
        "auto",
        description="recompute activations in the backward pass: less memory, about 20 % slower. auto: where an "
        "estimate of memory, which the job logs, says that they do not fit",
    )
    lora: LoraSettings | None = Field(None, description="train adapters; left out: all weights")
    deepspeed: ZeroSettings = Field(ZeroSettings(), description="ZeRO, when deepspeed_config is left out")
    deepspeed_config: str | dict[str, Any] | None = Field(
        None,
        description="your own ds_config.json: its path, its URI or its content. What it leaves out or sets to 'auto' "
        "takes the value of these settings, and what it sets must agree with them; the rest is used unchanged",
    )
    checkpoint_steps: int = Field(100, ge=0, description="optimizer steps between checkpoints; 0 disables them")
    checkpoints_kept: int = Field(
        2, ge=1, description="how many of the newest checkpoints are kept in the store during training"
    )
    allow_remote_code: bool = Field(False, description="run Python code that comes with the model (trust_remote_code)")
    allow_pickled_weights: bool = Field(False, description="load weights that are not safetensors: they can run code")
    launch: Launch = Field(
        Launch(), description="where it runs; ranks = nodes * processes_per_node, or those of its groups"
    )

    @property
    def truncation(self) -> dict[str, Any]:
        """What becomes of long rows."""
        return {"max_length": self.max_length, "over_long": self.over_long}

    @property
    def ranks(self) -> int:
        """Processes that train together."""
        return self.launch.processes

    @property
    def last_epoch(self) -> int:
        """The epoch after which the training ends, from 1."""
        return self.stop_after_epochs or self.epochs

    def with_launch(self, launch: Launch) -> Self:
        """The settings with another launch. Raises pydantic.ValidationError where they do not fit it."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, "launch": launch})

    def ending_after(self, epoch: int) -> Self:
        """The settings of the training that ends after an earlier epoch of this one, on the same schedule."""
        return self.model_copy(update={"stop_after_epochs": epoch, "hand_over_epochs": ()})

    @model_validator(mode="after")
    def _ends_early(self) -> Self:
        if self.stop_after_epochs is not None and self.stop_after_epochs >= self.epochs:
            raise ValueError(
                f"stop_after_epochs {self.stop_after_epochs} is not before the end, epoch {self.epochs}: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _hands_over_earlier(self) -> Self:
        epochs = self.hand_over_epochs
        if late := [epoch for epoch in epochs if epoch >= self.last_epoch]:
            raise ValueError(
                f"hand_over_epochs {late[0]} is not an earlier epoch: the training ends after epoch {self.last_epoch}, "
                "whose model is its output"
            )
        if list(epochs) != sorted(set(epochs)):
            raise ValueError(f"hand_over_epochs {', '.join(map(str, epochs))}: list each epoch once, in order")
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.stages is None and self.shares == "even" and self.global_batch % self.ranks:
            raise ValueError(f"global_batch {self.global_batch} is not divisible by the {self.ranks} ranks")
        return self

    @model_validator(mode="after")
    def _shares_fit_ranks(self) -> Self:
        if self.shares == "even":
            return self
        if self.global_batch < self.ranks * self.rows_together:
            each = f"{counted(self.rows_together, 'row')} that stay together" if self.rows_together > 1 else "a row"
            raise ValueError(
                f"global_batch {self.global_batch} is too small for {counted(self.ranks, 'rank')}: with shares 'speed' "
                f"each computes at least {each} in every step, so global_batch is {self.ranks * self.rows_together} or "
                "more"
            )
        return self

    @model_validator(mode="after")
    def _speeds_fit_ranks(self) -> Self:
        speeds, are_read = self.launch.speeds, self.shares == "speed" or self.stages is not None
        if are_read and speeds is not None and len(speeds) != self.ranks:
            raise ValueError(f"launch.speeds has {len(speeds)} values, and there are {counted(self.ranks, 'rank')}")
        return self

    @model_validator(mode="after")
    def _shares_fit_zero(self) -> Self:
        zero = self.deepspeed
        if self.shares == "speed" and self.deepspeed_config is None and (zero.stage == 3 or zero.offload != "none"):
            raise ValueError(
                f"{SHARES_RULE}; deepspeed has stage {zero.stage} and offload '{zero.offload}'. Allowed: stage "
                f"{', '.join(map(str, ('auto', *SHARES_STAGES)))}, offload none; or shares: even"
            )
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if self.stages is None:
            return self
        if not self.runs_in_stages:
            able = sorted(name for name in _methods_in_stages(TrainSettings) if name)
            raise ValueError(
                f"method {self.method} cannot train in stages: beside a step's forward passes it makes others, of the "
                f"complete model. Allowed: {', '.join(able)}"
            )
        zero = self.deepspeed
        if self.deepspeed_config is not None:
            raise ValueError(f"{STAGES_RULE}: leave deepspeed_config out")
        if zero.stage not in STAGES_ZERO or zero.offload != "none":
            raise ValueError(
                f"{STAGES_RULE}; deepspeed has stage {zero.stage} and offload '{zero.offload}'. Allowed: stage "
                f"{', '.join(map(str, STAGES_ZERO))}, offload none"
            )
        if self.shares != "even":
            raise ValueError(
                f"shares '{self.shares}' deals rows to processes that all have the model, and stages have a part each. "
                "Allowed: shares even; stages.layers divides the work"
            )
        if self.micro_batch_tokens is not None:
            raise ValueError("stages.micro_batches says how a step is divided: leave micro_batch_tokens out")
        if self.stages.schedule == "zero_bubble" and self.gradient_checkpointing is True:
            raise ValueError(
                "schedule zero_bubble computes the gradients of weights from kept activations. Allowed: "
                "gradient_checkpointing false or auto, or schedule 1f1b or interleaved"
            )
        self.stages.check(self.ranks, self.global_batch)
        return self

    @model_validator(mode="after")
    def _fit_fewest_nodes(self) -> Self:
        if not self.launch.may_shrink:
            return self
        fewest = on_fewest_nodes(self.launch)
        problem = "stages need 2 or more processes" if self.stages is not None and fewest.processes == 1 else ""
        try:
            self.with_launch(fewest)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        if problem:
            ranks = counted(fewest.processes, "process", "processes")
            raise ValueError(
                f"launch.least_nodes lets the training continue on {ranks}, and these settings do not fit that: "
                f"{problem}. Raise least_nodes, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _stage_fits_precision(self) -> Self:
        if self.precision == "bf16" and self.deepspeed_config is None and self.deepspeed.stage == 0:
            raise ValueError(
                "precision bf16 needs deepspeed.stage 1, 2 or 3: at stage 0 DeepSpeed has another optimizer for bf16, "
                "whose losses differ by more than rounding"
            )
        return self

    @property
    def method_version(self) -> int:
        """Of what the method computes by these settings, raised where equal settings give another model than before.

        It is in the key from 2 on, so that models of other methods, and earlier ones, keep their addresses.
        """
        return 1

    @property
    def rows_together(self) -> int:
        """Rows of a step, from one of its multiples to the next, that the method's loss needs in one pass."""
        return 1

    @property
    def forward_rule(self) -> str:
        """How the settings decide the rows of a forward pass, for messages."""
        return FORWARD_RULE

    def forward_rows(self, ranks: int) -> int:
        """Most rows of one process in a forward pass, when `ranks` processes train together."""
        return self.micro_batch

    def key_material(self) -> dict[str, Any]:
        """What determines the model: without a block that another one replaces."""
        material = super().key_material()
        if self.deepspeed_config is not None:
            material.pop("deepspeed", None)
        if self.method_version > 1:
            material["method_version"] = self.method_version
        return material


def _methods_in_stages(settings: type[TrainSettings]) -> Iterator[str]:
    """The methods whose settings allow stages."""
    if settings.runs_in_stages:
        yield str(settings.model_fields["method"].default)
    for kind in settings.__subclasses__():
        yield from _methods_in_stages(kind)
