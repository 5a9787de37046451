"""Memory, storage and time by a model's size, computed: `python -m benchmarks.sizing` prints docs/sizing.md's tables.

Nothing here is measured. Each function is one formula; docs/sizing.md says which were checked against a measurement.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from components.launch.accelerators import ACCELERATORS
from components.train.balance.work import BACKWARD, FORWARD, UTILISATION
from components.train.memory import (
    OPTIMIZER,
    WEIGHT,
    DecoderShape,
    Need,
    PassSize,
    activation_bytes,
    fit_tokens,
    state_bytes,
)

GIB = 2**30
PASS_FLOPS = {
    "SFT": FORWARD + BACKWARD + FORWARD,
    "KTO": FORWARD + BACKWARD + FORWARD + FORWARD,
    "DPO": FORWARD + BACKWARD + FORWARD,
}
"""Of a pass over the rows, with gradient checkpointing's second forward pass. KTO also runs mismatched pairs forward.
DPO's tokens are those of both responses of a pair, each after its prompt."""
REFERENCE_FLOPS = {"KTO": FORWARD + FORWARD, "DPO": FORWARD}
"""Of the reference's log-probs, computed once before training: KTO's rows and mismatched pairs, DPO's pairs."""
RESPONSES = {"SFT": 1, "KTO": 1, "DPO": 2}
"""Responses of a row, which are in one forward pass."""
H100_FLOPS, H100_BYTES_A_SECOND, H100_GIB = ACCELERATORS["H100"].operations, 3.35e12, 79.0
"""NVIDIA H100 SXM: dense bf16, memory bandwidth, memory that a program sees."""
SERVED_SHARE, ENGINE_GIB = 0.92, 4.0
"""vLLM 0.33's --gpu-memory-utilization, and what of it kernels, graphs and activations are assumed to need on a GPU."""
ROWS, MAX_LENGTH = 4, 1024
"""Rows of a micro batch and tokens of a row in the paper's recipe."""
BUDGETS = (4096, 8192, 16_384)
"""Positions of a forward pass, of those that `micro_batch_tokens` may name."""
GPUS = ((1, 24), (1, 80), (8, 80))
"""Numbers of GPUs, and the GiB of each, for which a budget is chosen."""
CONVERSATION = 2048
"""Tokens of a prompt with its answer that a teacher holds at once."""
LEAST_SLOTS = 64
"""Conversations at once below which a GPU's arithmetic idles: hence the next number of GPUs."""


@dataclass(frozen=True)
class Model:
    """A decoder's shape, as its config.json has it."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """All weights of a Qwen2: biases on queries, keys and values, two norms a layer."""
        keys = self.kv_heads * self.head
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * keys + self.hidden + 2 * keys
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.layers * layer + self.hidden + (1 if self.tied else 2) * self.vocabulary * self.hidden

    @property
    def shape(self) -> DecoderShape:
        """What its memory in a training of all weights depends on."""
        keys, size = self.kv_heads * self.head, self.parameters
        return DecoderShape(size, size, self.hidden, self.layers, keys, self.hidden, self.intermediate, self.vocabulary)

    @property
    def cache_bytes(self) -> int:
        """Keys and values of one token, in bf16."""
        return 2 * self.layers * self.kv_heads * self.head * WEIGHT


MODELS = (
    Model("Qwen2-0.5B", 896, 24, 14, 2, 4864, 151936, tied=True),
    Model("Qwen2.5-1.5B", 1536, 28, 12, 2, 8960, 151936, tied=True),
    Model("Qwen2.5-3B", 2048, 36, 16, 2, 11008, 151936, tied=True),
    Model("Qwen2.5-7B", 3584, 28, 28, 4, 18944, 152064, tied=False),
    Model("Qwen2.5-14B", 5120, 48, 40, 8, 13824, 152064, tied=False),
    Model("Qwen2.5-32B", 5120, 64, 40, 8, 27648, 152064, tied=False),
    Model("Qwen2.5-72B", 8192, 80, 64, 8, 29568, 152064, tied=False),
)


def zero2(model: Model, ranks: int) -> int:
    """Bytes of one GPU: all weights, and its share of gradients and optimizer state."""
    return state_bytes(model.shape, "bf16", 2, ranks)


def zero3(model: Model, ranks: int) -> int:
    """Bytes of one GPU: its share of everything."""
    return state_bytes(model.shape, "bf16", 3, ranks)


def activations(model: Model, method: str) -> int:
    """Bytes of one GPU for a micro batch with gradient checkpointing: each layer's input, and a layer or the head."""
    return activation_bytes(model.shape, "bf16", ROWS * RESPONSES[method] * MAX_LENGTH, recomputed=True)


def checkpoint(model: Model) -> float:
    """Bytes of a checkpoint in the store."""
    return model.parameters * (WEIGHT + OPTIMIZER)


def gpu_minutes(model: Model, flops: int) -> float:
    """Minutes of an H100 for one pass over a million tokens."""
    return model.parameters * flops * 1e6 / (H100_FLOPS * UTILISATION) / 60


def slots(model: Model, gpus: int) -> int:
    """Conversations that a teacher's caches hold at once."""
    free = gpus * (H100_GIB * SERVED_SHARE - ENGINE_GIB) * GIB - model.parameters * WEIGHT
    return max(0, int(free // (model.cache_bytes * CONVERSATION)))


def teacher_gpus(model: Model) -> int:
    """The fewest H100 on which it has enough slots."""
    return next(gpus for gpus in (1, 2, 4, 8) if slots(model, gpus) >= LEAST_SLOTS and model.heads % gpus == 0)


def tokens_a_second(model: Model, gpus: int, at_once: int = 256) -> float:
    """Upper limit: a step reads all weights and all caches (half full) once, or computes, whichever takes longer."""
    batch = min(at_once, slots(model, gpus))
    read = model.parameters * WEIGHT + batch * model.cache_bytes * CONVERSATION / 2
    seconds = max(read / H100_BYTES_A_SECOND, 2 * model.parameters * batch / H100_FLOPS) / gpus
    return batch / seconds


@dataclass(frozen=True)
class Load:
    """What one benchmark asks of a model.

    Attributes:
        name: of the benchmark, as its settings are by default.
        questions: asked.
        prompt: tokens of a prompt: characters / 4 in English, / 1.4 in Chinese.
        shared: share of a prompt that the one before it has too, prompts being in the order of their texts.
        reply: tokens of a reply on average: taken, not measured.
        limit: tokens of the longest reply.
    """

    name: str
    questions: int
    prompt: int
    shared: float
    reply: int
    limit: int


LOADS = (
    Load("gsm8k", 1_319, 380, 0.81, 150, 512),
    Load("mmlu", 14_042, 145, 0.29, 10, 32),
    Load("cmmlu", 11_582, 90, 0.27, 10, 32),
    Load("ceval", 1_346, 110, 0.25, 10, 32),
    Load("humaneval", 164, 140, 0.19, 200, 512),
    Load("ifeval", 541, 60, 0.0, 300, 1_280),
    Load("bbh", 6_511, 850, 0.88, 150, 512),
)
BATCH, AT_ONCE = 128, 256
"""Prompts of a batch of transformers in an evaluation, and conversations that vLLM is taken to have in progress."""
EAGER_LAYER_SECONDS, GRAPH_STEP_SECONDS = 1e-3, 3e-3
"""What Python and kernel launches add to a token's step: by layer in transformers, by step with vLLM's CUDA graphs.
Assumptions: below some billion parameters they are most of a step."""


def step_seconds(model: Model, rows: int, tokens: float, overhead: float) -> float:
    """One token for each row: read all weights and the rows' caches of `tokens` each, compute, and the overhead."""
    read = model.parameters * WEIGHT + rows * model.cache_bytes * tokens
    return max(overhead, read / H100_BYTES_A_SECOND, 2 * model.parameters * rows / H100_FLOPS)


def prompt_seconds(model: Model, tokens: float) -> float:
    """Reading prompts of so many tokens together, 2 P operations each."""
    return 2 * model.parameters * tokens / (H100_FLOPS * UTILISATION)


def seconds_in_batches(model: Model, load: Load) -> float:
    """By transformers: every batch goes on until its longest reply ends, taken to be at the limit."""
    batches = math.ceil(load.questions / BATCH)
    step = step_seconds(model, BATCH, load.prompt + load.limit / 2, model.layers * EAGER_LAYER_SECONDS)
    return batches * load.limit * step + prompt_seconds(model, load.questions * load.prompt)


def seconds_in_vllm(model: Model, load: Load) -> float:
    """By vLLM: a reply that ends makes room for the next, and what prompts share is read once."""
    rows = min(AT_ONCE, load.questions)
    step = step_seconds(model, rows, load.prompt + load.reply / 2, GRAPH_STEP_SECONDS)
    # The last reply may be as long as the limit, with all others done.
    steps = load.questions * load.reply / rows + load.limit
    return steps * step + prompt_seconds(model, load.questions * load.prompt * (1 - load.shared))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f}" if size < 100 * GIB else f"{size / GIB:,.0f}"


def training_table() -> str:
    """Memory of one GPU and storage, by student."""
    fixed = [
        "student",
        "parameters, million",
        *(f"ZeRO-2 on {ranks}" for ranks in (1, 2, 4, 8)),
        "ZeRO-3 on 8",
        "activations, SFT and KTO",
        "activations, DPO",
        "checkpoint",
        "model",
    ]
    return table(fixed, (_training_row(model) for model in MODELS[:5]))


def _training_row(model: Model) -> list[str]:
    memory = [zero2(model, ranks) for ranks in (1, 2, 4, 8)]
    activated = [activations(model, method) for method in ("SFT", "DPO")]
    rest = [zero3(model, 8), *activated, checkpoint(model), model.parameters * WEIGHT]
    return [model.name, f"{model.parameters / 1e6:,.0f}", *map(_gib, [*memory, *rest])]


def budget_table() -> str:
    """Activations by the budget of positions, and the budget that a job chooses, by student."""
    head = [f"{tokens:,} positions" for tokens in BUDGETS]
    head += [f"`auto` on {number} × {gib} GiB" for number, gib in GPUS]
    return table(["student", *head], (_budget_row(model) for model in MODELS[:5]))


def _budget_row(model: Model) -> list[str]:
    activated = [_gib(activation_bytes(model.shape, "bf16", tokens, recomputed=True)) for tokens in BUDGETS]
    return [model.name, *activated, *(chosen_budget(model, *gpus) for gpus in GPUS)]


def chosen_budget(model: Model, gpus: int, gib: int) -> str:
    """The budget that a job chooses where `micro_batch` leaves it free."""
    size = PassSize(rows=BUDGETS[-1], longest=MAX_LENGTH, undivided=MAX_LENGTH)
    plan, tokens = fit_tokens(Need(model.shape, "bf16", gpus, 0), size, gib * GIB)
    return f"{tokens:,}{' r' if plan.recomputed else ''}" if plan.fits else "-"


def teacher_table() -> str:
    """GPUs and slots, by teacher."""
    head = ["teacher", "weights, GiB", "cache per token, KiB", "H100", "conversations at once", "tokens/s, at most"]
    return table(head, (_teacher_row(model) for model in MODELS[3:]))


def _teacher_row(model: Model) -> list[str]:
    gpus = teacher_gpus(model)
    rate = round(tokens_a_second(model, gpus), -2)
    numbers = [f"{model.cache_bytes / 1024:.0f}", str(gpus), f"{slots(model, gpus):,}", f"{rate:,.0f}"]
    return [f"{model.name}-Instruct", _gib(model.parameters * WEIGHT), *numbers]


def time_table() -> str:
    """GPU minutes, by student."""
    work = [*PASS_FLOPS.values(), *REFERENCE_FLOPS.values()]
    rows = ([model.name, *(f"{gpu_minutes(model, flops):.1f}" for flops in work)] for model in MODELS[:5])
    return table(["student", *PASS_FLOPS, *(f"reference of {method}" for method in REFERENCE_FLOPS)], rows)


def evaluation_table() -> str:
    """Minutes of one H100 for each benchmark and for all, with a model of 0.5 billion parameters."""
    model = MODELS[0]
    ways = (seconds_in_batches, seconds_in_vllm)
    head = ["benchmark", "questions", "prompt", "shared", "reply", "longest", "transformers, min", "vLLM, min"]
    rows = [
        [load.name, f"{load.questions:,}", str(load.prompt), f"{load.shared:.0%}", str(load.reply), f"{load.limit:,}"]
        + [f"{way(model, load) / 60:.1f}" for way in ways]
        for load in LOADS
    ]
    questions = f"{sum(load.questions for load in LOADS):,}"
    sums = [f"{sum(way(model, load) for load in LOADS) / 60:.1f}" for way in ways]
    return table(head, [*rows, ["all", questions, "", "", "", "", *sums]])


def evaluation_by_size_table() -> str:
    """Hours of one H100 for all benchmarks, by the model's size."""
    rows = (
        [
            model.name,
            *(f"{sum(way(model, load) for load in LOADS) / 3600:.2f}" for way in (seconds_in_batches, seconds_in_vllm)),
        ]
        for model in MODELS[:5]
    )
    return table(["model", "transformers, h", "vLLM, h"], rows)


TABLES = {
    "training": training_table,
    "token budget": budget_table,
    "teacher": teacher_table,
    "time": time_table,
    "evaluation": evaluation_table,
    "evaluation by size": evaluation_by_size_table,
}
"""By the name that docs/sizing.md has them under."""


def main() -> None:
    """Print all tables."""
    for name, made in TABLES.items():
        print(f"<!-- {name} -->\n{made()}\n")


if __name__ == "__main__":
    main()
