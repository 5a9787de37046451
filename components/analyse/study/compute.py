"""What a trained model cost, from the manifests of its trainings: tokens, FLOPs, seconds, memory, parameters.

The FLOPs follow from the counts of each training's manifest: N parameters, n of them trained, T tokens:

| pass | FLOPs | why |
|---|---|---|
| forward | 2 N T | a product and a sum for each weight (Kaplan and others, arXiv 2001.08361, table 1) |
| backward, to the activations | 2 N T | through every weight, frozen or not |
| backward, to the weights | 2 n T | of those that are trained: 6 N T together for all weights, about 4 N T for LoRA |
| reference | 2 N R | R tokens: each row once, under the model that the training starts from |
| mismatched | 2 N K | K tokens: in every epoch, responses of other rows by which KTO estimates its reference point |

R is not a count of its own: it is the training's tokens times rows scored over rows seen in all epochs, with KTO and
the mismatched responses of one epoch. K counts these alone, since their prompts are those of the rows (a model on
padded rows reads the prompts again). Left out, as in the model FLOPs of PaLM (arXiv 2204.02311, appendix B): what
gradient checkpointing computes again. Left out too: attention between tokens. N includes the adapters and the
embeddings, which cost a product only as the head: exact where they are tied.

A reference pass counts where a model needed it, also if its training read the log-probs of another one. A total counts
everything once: a training whose earlier epochs another arm has taken over is one training, and so are log-probs that
were computed once.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from components.analyse.study_schema import ComputeFacts, TotalFacts
from components.shared.errors import DamagedError
from components.shared.outputs.digest import digest_value
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.step import MODEL

START = "start"
"""The input of a training that is the model it starts from."""
HAND_OVER = frozenset({"stop_after_epochs", "hand_over_epochs"})
"""Settings by which one training gives models of several epochs."""


def trainings_of(library: Library, model: Parent) -> tuple[Manifest, ...]:
    """The trainings that led to a model, the first one first; empty for a model from elsewhere.

    Raises:
        DamagedError: an output has changed since its child was made.
    """
    manifest = library.find(model.address) if "/" in model.address and ":" not in model.address else None
    if manifest is None or manifest.content != MODEL or START not in manifest.parents:
        return ()
    if manifest.digest != model.digest:
        raise DamagedError(
            f"{model.address} has changed since it was evaluated or trained from",
            rule="a manifest names its inputs by address and digest",
            remedy=f"restore {model.address}, or run the study again",
        )
    return (*trainings_of(library, manifest.parents[START]), manifest)


def training_flops(training: Manifest) -> float:
    """FLOPs of the passes over the rows that are trained on and over mismatched responses: (4 N + 2 n) T + 2 N K."""
    counts = training.counts
    graded = (4 * counts["parameters"] + 2 * counts["parameters_trained"]) * counts["tokens"]
    return graded + 2 * counts["parameters"] * mismatched_tokens(training)


def mismatched_tokens(training: Manifest) -> float:
    """Tokens of KTO's mismatched responses in all epochs; 0 for other methods, and for trainings before the count."""
    counts = training.counts
    pairs = counts.get("kl_pairs", 0.0)
    return counts.get("kl_tokens", 0.0) * _rows_seen(training) / pairs if pairs else 0.0


def reference_tokens(training: Manifest) -> float:
    """Tokens that a reference model scores, each row with its mismatched response once; 0 without a reference."""
    counts, seen = training.counts, _rows_seen(training)
    if not seen or "reference_rows" not in counts:
        return 0.0
    return counts["tokens"] * counts["reference_rows"] / seen + counts.get("kl_tokens", 0.0)


def reference_flops(training: Manifest) -> float:
    """FLOPs of the reference's forward passes: 2 N R."""
    return 2 * training.counts["parameters"] * reference_tokens(training)


def describe_compute(chains: Sequence[tuple[Manifest, ...]]) -> ComputeFacts | None:
    """The compute of an arm, a mean over the models of its seeds; None where they were not trained in this store."""
    chains = [chain for chain in chains if chain]
    if not chains:
        return None
    count = len(chains)
    trainings = [training for chain in chains for training in chain]
    last = [chain[-1] for chain in chains]
    return ComputeFacts(
        stages=max(len(chain) for chain in chains),
        steps=_sum(trainings, "steps") / count,
        tokens=_sum(trainings, "tokens") / count,
        reference_tokens=sum(map(reference_tokens, trainings)) / count,
        mismatched_tokens=sum(map(mismatched_tokens, trainings)) / count,
        flops=sum(training_flops(each) + reference_flops(each) for each in trainings) / count,
        seconds=sum(training.cost.seconds for training in trainings) / count,
        peak_memory_mib=max(map(_peak, trainings)),
        parameters=_sum(last, "parameters") / count,
        parameters_trained=_sum(last, "parameters_trained") / count,
    )


def describe_total(chains: Iterable[tuple[Manifest, ...]]) -> TotalFacts:
    """The compute of all models of a study, every training once."""
    longest: dict[str, Manifest] = {}
    for training in (training for chain in chains for training in chain):
        key = _identity(training)
        if key not in longest or longest[key].counts["tokens"] < training.counts["tokens"]:
            longest[key] = training
    found = list(longest.values())
    scored = [training for training in found if training.counts.get("reference_rows_computed")]
    return TotalFacts(
        trainings=len(found),
        tokens=_sum(found, "tokens"),
        flops=sum(map(training_flops, found)) + sum(map(reference_flops, scored)),
        seconds=sum(training.cost.seconds for training in found),
    )


def _identity(training: Manifest) -> str:
    """Equal for the models of several epochs of one training."""
    settings: dict[str, Any] = {name: value for name, value in training.settings.items() if name not in HAND_OVER}
    parents = {name: parent.digest for name, parent in training.parents.items()}
    return digest_value([training.step, training.step_version, settings, parents])


def _rows_seen(training: Manifest) -> float:
    return training.counts["steps"] * float(training.settings.get("global_batch", 0))


def _peak(training: Manifest) -> float:
    return training.counts.get("peak_gpu_memory_mib") or training.counts.get("peak_memory_mib", 0.0)


def _sum(trainings: Iterable[Manifest], name: str) -> float:
    return sum(training.counts[name] for training in trainings)
