"""How much memory a training needs, estimated from a model's shape: pure functions, without torch.

What ZeRO shards: Rajbhandari and others, arXiv 1910.02054, section 3. What a layer keeps for its backward pass:
Korthikanti and others, arXiv 2205.05198, section 4, for attention that keeps no scores, a gated MLP and RMSNorm. A test
compares the layer's bytes with what autograd really saves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from components.models.forward.chunks import COPIES, FP32_BYTES, HeadMemory

Precision = Literal["bf16", "fp32"]
WEIGHT, GRADIENT, OPTIMIZER = 2, 2, 12
"""Bytes per parameter in bf16: weight, gradient, and fp32 master weights with Adam's two moments."""
FP32_WEIGHT, FP32_GRADIENT, MOMENTS, MASTER = 4, 4, 8, 4
"""The same in fp32, where only ZeRO's partitions copy the weights (DeepSpeed's `single_partition_of_fp32_groups`)."""
SMALL_MODEL = 2_000_000_000
"""Parameters below which gradients are reduced once in an optimizer step rather than in every micro-batch."""
USABLE = 0.85
"""Share of the free memory that a plan may use: the rest is for buffers, kernels and fragmentation. An assumption."""
SAMPLING_COPIES = 8
"""Of a step's logits, in fp32, that sampling holds at a time: themselves, probabilities, these in order, summed before
and after the nucleus, what the drawn token is put into, and masks. A test measures it."""
ENOUGH_TOKENS, MOST_TOKENS, TOKENS_APART = 4096, 16_384, 256
"""Of a budget that is chosen: positions that keep a GPU busy, the most that are tried, and the difference between two
tries. Assumptions: kernels of models with some hundred million parameters fill a GPU with a few thousand positions."""


@dataclass(frozen=True)
class DecoderShape:
    """A decoder, as far as its memory depends on it.

    Attributes:
        parameters: all weights.
        trained: those that get gradients: all, or the adapters.
        hidden: width of the residual stream.
        layers: number of layers.
        keys: width of all keys together (heads of keys times the width of a head).
        queries: width of all queries together.
        intermediate: width of the MLP, of one position: of all its active experts together.
        vocabulary: rows of the output layer.
        tied: whether the output layer is the embeddings, so that their weights are counted once.
    """

    parameters: int
    trained: int
    hidden: int
    layers: int
    keys: int
    queries: int
    intermediate: int
    vocabulary: int
    tied: bool = False


@dataclass(frozen=True)
class Generation:
    """What one process draws at a time while it trains.

    Attributes:
        rows: answers that are drawn together; 0: another program draws them.
        prompt: most tokens of a prompt.
        response: most tokens of an answer.
        reserved: share of the device that a program has which draws them there.
    """

    rows: int
    prompt: int
    response: int
    reserved: float = 0.0


@dataclass(frozen=True)
class HostCopies:
    """Bytes of host memory that one process needs for what leaves it.

    Attributes:
        checkpoint: the copy of its part of a checkpoint (`checkpoints/snapshot.py`), kept until the training ends.
        saving: the gathered weights, and their file while it is written: once, by the first process.
    """

    checkpoint: int = 0
    saving: int = 0

    @property
    def total(self) -> int:
        """Both: the model is saved while the memory of the last checkpoint is kept."""
        return self.checkpoint + self.saving


@dataclass(frozen=True)
class Estimate:
    """Bytes that one process needs on its device.

    Attributes:
        state: its share of weights, gradients and optimizer state.
        activations: what its forward passes keep.
        copies: what it copies to host memory.
        shares_host: whether the device is the host (a CPU), so that the copies need the same memory.
        generation: what drawing answers takes, between forward passes; 0: none are drawn.
    """

    state: int
    activations: int
    copies: HostCopies = HostCopies()
    shares_host: bool = False
    generation: int = 0

    @property
    def beside_state(self) -> int:
        """What is added to the state at the peak: activations are not kept while answers are drawn."""
        return max(self.activations, self.generation)

    @property
    def total(self) -> int:
        """All bytes of the device."""
        return self.state + self.beside_state + (self.copies.total if self.shares_host else 0)


def state_bytes(shape: DecoderShape, precision: Precision, stage: int, ranks: int, offload: str = "none") -> int:
    """Bytes of weights, gradients and optimizer state of one process, on its device.

    Args:
        shape: of the model.
        precision: of weights and gradients.
        stage: ZeRO's: 1 shards the optimizer's state, 2 gradients too, 3 weights too.
        ranks: processes that train together.
        offload: what is in host memory instead, as `deepspeed.offload` names it.
    """
    low = precision == "bf16"
    weight, gradient = (WEIGHT, GRADIENT) if low else (FP32_WEIGHT, FP32_GRADIENT)
    optimizer = OPTIMIZER if low else MOMENTS + (MASTER if stage else 0)
    weights = 0.0 if offload == "optimizer+parameters" else shape.parameters * weight / (ranks if stage == 3 else 1)
    states = 0.0 if offload != "none" else shape.trained * optimizer / (ranks if stage else 1)
    return round(weights + shape.trained * gradient / (ranks if stage > 1 else 1) + states)


def host_copies(
    shape: DecoderShape, precision: Precision, stage: int, ranks: int, *, saved: Precision, checkpoints: bool
) -> HostCopies:
    """What one process copies to host memory; frozen weights are neither in checkpoints nor saved from memory.

    Args:
        shape: of the model.
        precision: of weights and gradients.
        stage: ZeRO's.
        ranks: processes that train together.
        saved: precision of the weights that are saved.
        checkpoints: whether any are made.
    """
    weight = WEIGHT if precision == "bf16" else FP32_WEIGHT
    optimizer = OPTIMIZER if precision == "bf16" else MOMENTS + (MASTER if stage else 0)
    checkpoint = weight / (ranks if stage == 3 else 1) + optimizer / (ranks if stage else 1)
    written = WEIGHT if saved == "bf16" else FP32_WEIGHT
    return HostCopies(round(shape.trained * checkpoint) if checkpoints else 0, 2 * written * shape.trained)


def layer_bytes(shape: DecoderShape, precision: Precision) -> int:
    """Bytes that one layer keeps of one position for its backward pass.

    Each of two norms keeps its input in fp32 and normalised; attention its input, queries and keys before and after
    rotation, values and result; the MLP its input, gate, activated gate, other half and their product.
    """
    size = WEIGHT if precision == "bf16" else FP32_WEIGHT
    norms = 2 * shape.hidden * (FP32_WEIGHT + size)
    attention = shape.hidden + 2 * shape.queries + 2 * shape.keys
    mlp = shape.hidden + 4 * shape.intermediate
    return norms + (attention + mlp) * size


def head_bytes(shape: DecoderShape, precision: Precision, tokens: int) -> int:
    """Bytes of the output layer at its peak: a chunk of logits, those kept, and gradients of its weights and input.

    All logits are never held (components/models/forward/chunks.py); trl's fused head has a tile of the same size.
    """
    size = WEIGHT if precision == "bf16" else FP32_WEIGHT
    memory, logits = HeadMemory(), tokens * shape.vocabulary
    chunk = min(logits * FP32_BYTES * COPIES, memory.chunk_bytes)
    kept = logits * size if memory.keeps(tokens, shape.vocabulary, size) else 0
    return chunk + kept + (shape.vocabulary + tokens) * shape.hidden * (FP32_GRADIENT + size)


def activation_bytes(shape: DecoderShape, precision: Precision, tokens: int, recomputed: bool) -> int:
    """Bytes that one process keeps of a forward pass, at its peak.

    Args:
        shape: of the model.
        precision: of the arithmetic.
        tokens: positions in one forward pass, padding among them.
        recomputed: whether layers are recomputed (gradient checkpointing): then each layer's input is kept, and one
            layer's activations at a time, when the head's are gone.
    """
    size = WEIGHT if precision == "bf16" else FP32_WEIGHT
    layer, head = tokens * layer_bytes(shape, precision), head_bytes(shape, precision, tokens)
    return tokens * shape.layers * shape.hidden * size + max(layer, head) if recomputed else shape.layers * layer + head


def generation_bytes(shape: DecoderShape, precision: Precision, drawn: Generation) -> int:
    """Bytes of drawing answers without gradients: the cache of keys and values, and the larger of what surrounds it.

    That is the reading of all prompts at once (the residual stream before and after a norm, with a layer's MLP, or its
    attention, which repeats keys and values for the queries that share them), or one step's logits with what sampling
    makes of them. The cache grows by a copy of a layer's keys.
    """
    size = WEIGHT if precision == "bf16" else FP32_WEIGHT
    positions = drawn.rows * (drawn.prompt + drawn.response)
    cache = positions * shape.keys * size * (2 * shape.layers + 1)
    layer = 2 * shape.hidden + max(3 * shape.intermediate, 5 * shape.queries + 3 * shape.keys)
    reading = drawn.rows * drawn.prompt * layer * size
    logits = drawn.rows * shape.vocabulary * (size + FP32_BYTES * SAMPLING_COPIES)
    return cache + max(reading, logits)


@dataclass(frozen=True)
class Need:
    """What a training asks for: the model, its arithmetic, its processes and the positions of a forward pass.

    `saved` is the precision of the weights that it saves, `checkpoints` whether it makes any; `on_cpu`: its device's
    memory is the host's; `drawn`: the answers that it draws meanwhile.
    """

    shape: DecoderShape
    precision: Precision
    ranks: int
    tokens: int
    offload: str = "none"
    saved: Precision = "bf16"
    checkpoints: bool = True
    on_cpu: bool = False
    drawn: Generation | None = None

    def usable(self, free: int) -> float:
        """What a plan may use of the bytes that are free."""
        return USABLE * free * (1 - (self.drawn.reserved if self.drawn else 0.0))

    def estimate(self, stage: int, recomputed: bool) -> Estimate:
        """The bytes of one process."""
        return Estimate(
            state_bytes(self.shape, self.precision, stage, self.ranks, self.offload),
            activation_bytes(self.shape, self.precision, self.tokens, recomputed),
            host_copies(self.shape, self.precision, stage, self.ranks, saved=self.saved, checkpoints=self.checkpoints),
            self.on_cpu,
            self._generation(stage),
        )

    def _generation(self, stage: int) -> int:
        """Of drawing; weights that ZeRO shards are gathered for it (trl's `ds3_gather_for_generation`)."""
        if self.drawn is None or not self.drawn.rows:
            return 0
        weight = WEIGHT if self.precision == "bf16" else FP32_WEIGHT
        gathered = self.shape.parameters * weight * (1 - 1 / self.ranks) if stage == 3 else 0
        return generation_bytes(self.shape, self.precision, self.drawn) + round(gathered)


@dataclass(frozen=True)
class PassSize:
    """What one process reads in a forward pass.

    Attributes:
        rows: most rows.
        longest: tokens of the longest row of the data, of both responses where a row is a pair.
        undivided: positions of the largest part that no budget divides: a row, or a process's share of KTO's groups.
    """

    rows: int
    longest: int
    undivided: int

    @property
    def most(self) -> int:
        """Positions without a budget, on the careful side: as if all rows were the longest."""
        return max(self.rows * self.longest, self.undivided)

    def positions(self, budget: int | None) -> int:
        """The most positions of a pass under a budget."""
        return self.most if budget is None else min(max(budget, self.undivided), self.most)


@dataclass(frozen=True)
class Plan:
    """The ZeRO stage, whether activations are recomputed, and the estimate for both.

    `fits` is False where every choice needs more than the usable memory: then this is the one that needs the least.
    """

    stage: int
    recomputed: bool
    estimate: Estimate
    fits: bool


def stages_to_try(need: Need, stage: int | Literal["auto"]) -> tuple[int, ...]:
    """ZeRO's stages in the order of preference; a stage that is set explicitly is the only one.

    Stage 0 is not among those of `auto`: on one rank stage 1 is as fast, and on more it needs less memory.
    """
    if isinstance(stage, int):
        return (stage,)
    if need.offload == "optimizer+parameters":
        return (3,)
    return (1, 2, 3) if need.shape.parameters < SMALL_MODEL else (2, 3)


def make_plan(
    need: Need, free: int, stage: int | Literal["auto"] = "auto", recomputed: bool | Literal["auto"] = "auto"
) -> Plan:
    """The first choice that fits: stages that communicate less come first, and recomputing is tried before sharding.

    Args:
        need: of the training.
        free: bytes of the device that one process may have.
        stage: ZeRO's, where it is set explicitly.
        recomputed: whether activations are recomputed, where that is set explicitly.
    """
    tried = _choices(need, stage, recomputed)
    estimates = {choice: need.estimate(*choice) for choice in tried}
    fitting = next((choice for choice in tried if estimates[choice].total <= need.usable(free)), None)
    chosen = fitting or min(tried, key=lambda choice: estimates[choice].total)
    return Plan(*chosen, estimates[chosen], fitting is not None)


def fit_tokens(
    need: Need,
    size: PassSize,
    free: int,
    stage: int | Literal["auto"] = "auto",
    recomputed: bool | Literal["auto"] = "auto",
) -> tuple[Plan, int]:
    """A plan and the budget of positions that fits it: of the first choice that fits enough, or half of the most.

    Args:
        need: of the training, of which `tokens` is not read.
        size: of its forward passes.
        free: bytes of the device that one process may have.
        stage: ZeRO's, where it is set explicitly.
        recomputed: whether activations are recomputed, where that is set explicitly.
    """
    fitting = {choice: _most_tokens(need, size, free, choice) for choice in _choices(need, stage, recomputed)}
    enough = min(ENOUGH_TOKENS, max(fitting.values()) // 2)
    if not enough:
        return make_plan(replace(need, tokens=size.undivided), free, stage, recomputed), size.undivided
    choice, tokens = next((choice, tokens) for choice, tokens in fitting.items() if tokens >= enough)
    return Plan(*choice, replace(need, tokens=tokens).estimate(*choice), fits=True), tokens


def _most_tokens(need: Need, size: PassSize, free: int, choice: tuple[int, bool]) -> int:
    """The most positions that fit with a stage and a way to keep activations; 0: not even the largest row fits."""
    most = max(min(size.most, MOST_TOKENS), size.undivided)
    tried = (*range(most, size.undivided, -TOKENS_APART), size.undivided)
    return next((n for n in tried if replace(need, tokens=n).estimate(*choice).total <= need.usable(free)), 0)


def _choices(need: Need, stage: int | Literal["auto"], recomputed: bool | Literal["auto"]) -> list[tuple[int, bool]]:
    """ZeRO's stage and whether activations are recomputed, in the order of preference."""
    again = (recomputed,) if isinstance(recomputed, bool) else (False, True)
    return [(one, way) for one in stages_to_try(need, stage) for way in again]


def shape_of(
    config: Mapping[str, Any], parameters: int, trained: int, vocabulary: int, *, tied: bool = False
) -> DecoderShape | None:
    """A decoder's shape from config.json; None where that lacks its width or the number of its layers.

    Args:
        config: the language model's part of config.json.
        parameters: of the model.
        trained: of these, or of the adapters.
        vocabulary: rows of its embeddings.
        tied: whether these are its output layer too.
    """
    hidden = _number(config, "hidden_size", "n_embd", "d_model")
    layers = _number(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    if not hidden or not layers:
        return None
    heads = _number(config, "num_attention_heads", "n_head", "num_heads", "n_heads") or 1
    head = _number(config, "head_dim") or hidden // heads
    groups = _number(config, "num_key_value_heads") or heads
    return DecoderShape(
        parameters, trained, hidden, layers, groups * head, heads * head, _mlp(config, hidden), vocabulary, tied
    )


def _mlp(config: Mapping[str, Any], hidden: int) -> int:
    """Width of the MLP: the wider of a plain one and all experts that one position passes through."""
    plain = _number(config, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
    experts = _number(config, "num_experts_per_tok") * _number(config, "moe_intermediate_size", "intermediate_size")
    return max(plain, experts)


def _number(config: Mapping[str, Any], *names: str) -> int:
    """The first of these keys that has a number; 0 without one."""
    return next((value for name in names if isinstance(value := config.get(name), int)), 0)
