"""Settings of the train step: what is learnt (the key) apart from where and how fast."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from components.launch.job import Launch
from components.shared.rows import KtoRow, Row, SftRow
from components.shared.settings import Settings, known

METHODS: dict[str, type[Row]] = {"sft": SftRow, "kto": KtoRow}
"""Training methods by name, and the rows that each learns from; the method is the module components.train.NAME."""


MethodName = Annotated[str, known(METHODS, "training method"), Field(json_schema_extra={"enum": list(METHODS)})]


class LoraSettings(Settings):
    """Low-rank adapters instead of all weights (Hu and others, arXiv 2106.09685)."""

    rank: int = Field(16, ge=1, le=1024, description="rank r of the update B·A")
    alpha: float = Field(32.0, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A; above 0, results depend on the ranks")
    target_modules: tuple[str, ...] = Field(
        ("all-linear",), description="names of the layers that get adapters; all-linear: all but the head"
    )
    keep_adapter: bool = Field(False, description="also keep the adapter, in `adapter/`, beside the merged model")


class ZeroSettings(Settings):
    """DeepSpeed ZeRO (Rajbhandari and others, arXiv 1910.02054), when no `deepspeed_config` is given."""

    stage: Literal[2, 3] = Field(2, description="2 splits optimizer state and gradients over the ranks, 3 weights too")
    offload: Literal["none", "optimizer", "optimizer+parameters"] = Field(
        "none", description="what is kept in the memory of the machine rather than the GPU's; parameters need stage 3"
    )

    @model_validator(mode="after")
    def _offload_fits_stage(self) -> Self:
        if self.offload == "optimizer+parameters" and self.stage != 3:
            raise ValueError("offload 'optimizer+parameters' needs stage 3: stage 2 does not split parameters")
        return self


class KtoSettings(Settings):
    """Kahneman-Tversky optimization (Ethayarajh and others, arXiv 2402.01306)."""

    beta: float = Field(0.1, gt=0, le=10, description="how strongly the model is held to the reference; the paper: 0.1")
    desirable_weight: float = Field(1.0, gt=0, description="weight of the loss of desirable rows (lambda_D)")
    undesirable_weight: float = Field(1.0, gt=0, description="weight of the loss of undesirable rows (lambda_U)")
    balance: bool = Field(
        True,
        description="multiply the weight of the rarer kind so that weight times count is equal for both: the lower end "
        "of the KTO paper's range, 1 to 4/3, for desirable over undesirable (equation 8)",
    )
    kl_batch: int = Field(
        16,
        ge=2,
        description="rows, over all ranks, whose mismatched pairs estimate the reference point z0 together; one "
        "forward holds kl_batch / ranks rows in each process. Part of what is computed, so the ranks are not",
    )
    reference_batch: int = Field(
        32, ge=1, description="rows of one process in a forward when the reference's log-probs are taken beforehand"
    )

    apart_from_key: ClassVar[frozenset[str]] = frozenset({"reference_batch"})


class TrainSettings(Settings):
    """How a model is trained. The number of ranks does not change what is computed, but for rounding."""

    apart_from_key: ClassVar[frozenset[str]] = frozenset(
        {
            "micro_batch",
            "gradient_checkpointing",
            "checkpoint_steps",
            "checkpoints_kept",
            "allow_remote_code",
            "allow_pickled_weights",
            "launch",
        }
    )

    method: MethodName = Field("sft", description="sft: the best responses; kto: desirable and undesirable")
    learning_rate: float = Field(
        1e-6, gt=0, le=1, description="peak of the schedule; the paper (arXiv 2411.02939) uses 1e-6 and 5e-8"
    )
    epochs: int = Field(3, ge=1, le=1000, description="passes over the rows; the paper: 3")
    global_batch: int = Field(
        32, ge=1, description="rows in one optimizer step, over all ranks and accumulation; KTO's advice: 8 to 32"
    )
    micro_batch: int = Field(
        8, ge=1, description="sft: most rows of one process in a forward; kto takes kto.kl_batch / ranks"
    )
    cutoff: int = Field(1024, ge=8, description="longest row, prompt and response, in tokens; the paper: 1024")
    over_long: Literal["truncate", "drop"] = Field(
        "truncate",
        description="rows above the cutoff: cut at its end (no end token then), or left out. A row whose prompt alone "
        "reaches the cutoff is always left out",
    )
    scheduler: Literal["cosine", "linear", "constant"] = Field("cosine", description="learning rate after the warm-up")
    warmup_share: float = Field(0.1, ge=0, lt=1, description="share of the steps with a linear warm-up from 0")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this L2 norm")
    seed: int = Field(42, ge=0, lt=2**31, description="seed of the rows' order, dropout and adapters")
    precision: Literal["bf16", "fp32"] = Field(
        "bf16", description="arithmetic; bf16 keeps fp32 master weights and needs a GPU"
    )
    saved_weights: Literal["as_trained", "fp32"] = Field(
        "as_trained",
        description="as_trained: in the precision above; fp32: bf16 training's master weights. A learning rate of 5e-8 "
        "moves weights by less than bf16 can hold, so such a run should save fp32",
    )
    gradient_checkpointing: bool = Field(True, description="recompute activations: less memory, about 20 % slower")
    lora: LoraSettings | None = Field(None, description="train adapters; left out: all weights")
    deepspeed: ZeroSettings = Field(ZeroSettings(), description="ZeRO, when deepspeed_config is left out")
    deepspeed_config: str | dict[str, Any] | None = Field(
        None,
        description="your own ds_config.json: its path, its URI or its content. What it leaves out or calls 'auto' "
        "takes these settings' value, and what it fixes must agree with them; the rest is used unchanged",
    )
    kto: KtoSettings = Field(KtoSettings(), description="used by method kto")
    checkpoint_steps: int = Field(100, ge=0, description="optimizer steps between checkpoints; 0 makes none")
    checkpoints_kept: int = Field(2, ge=1, description="newest checkpoints kept in the store while training goes on")
    allow_remote_code: bool = Field(False, description="run Python code that comes with the model (trust_remote_code)")
    allow_pickled_weights: bool = Field(False, description="load weights that are not safetensors: they can run code")
    launch: Launch = Field(Launch(), description="where it runs; ranks = nodes * processes_per_node")

    @property
    def ranks(self) -> int:
        """Processes that train together."""
        return self.launch.nodes * self.launch.processes_per_node

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.global_batch % self.ranks:
            raise ValueError(f"global_batch {self.global_batch} is not divisible by the {self.ranks} ranks")
        if self.method == "kto":
            self._check_kl_batch()
        return self

    def _check_kl_batch(self) -> None:
        if self.global_batch % self.kto.kl_batch:
            raise ValueError(f"kto.kl_batch {self.kto.kl_batch} does not divide global_batch {self.global_batch}")
        if self.kto.kl_batch % self.ranks or self.kto.kl_batch < 2 * self.ranks:
            raise ValueError(
                f"kto.kl_batch {self.kto.kl_batch} is not at least 2 rows for each of the {self.ranks} ranks, or not a "
                "multiple of their number"
            )

    def key_material(self) -> dict[str, Any]:
        """What makes the model: without what another method or a replaced block would use."""
        material = super().key_material()
        if self.method != "kto":
            del material["kto"]
        if self.deepspeed_config is not None:
            del material["deepspeed"]
        return material
