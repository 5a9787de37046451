"""The compute of a training, in tokens: by this measure trainings are given equal compute.

A token of a row counts once each time that a forward and backward pass goes over it, and a token that the training
generates counts once more for its generation. Passes without a backward one (a reference's, KTO's mismatched responses,
drawing a rollout's prompt) are left out, and so is what the start has cost.
"""

from collections.abc import Mapping, Sequence

from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.step import MODEL

TOKENS = "tokens"
"""The count of tokens that went forward and backward: prompts and responses, in all epochs."""
GENERATED = "tokens_generated"
"""The count of tokens that were generated; only methods that draw rollouts have it."""
BUDGET = "budget_"
"""The inputs of a training whose compute it may spend: `budget_1`, `budget_2`, …"""


def tokens_spent(counts: Mapping[str, float]) -> int:
    """The compute of a training, by the counts of its manifest."""
    return round(counts[TOKENS] + counts.get(GENERATED, 0))


def read_budget(library: Library, uris: Sequence[str]) -> list[Manifest]:
    """The trainings whose compute a training may spend, each once: a task may hand on the model of an earlier one.

    Raises:
        InputError: an output is not that of a training.
    """
    found = [library.load(address) for address in dict.fromkeys(map(library.address_of, uris))]
    for manifest in found:
        if manifest.content != MODEL or TOKENS not in manifest.counts:
            raise InputError(
                f"budget names {manifest.address}, which has no count of {TOKENS}",
                rule="a budget is the compute of trainings",
                remedy="name outputs of the step train, and leave out models that were not trained",
            )
    return found


def budget_inputs(trainings: Sequence[Manifest]) -> dict[str, Manifest]:
    """The trainings as inputs by name."""
    return {f"{BUDGET}{number}": training for number, training in enumerate(trainings, start=1)}


def allowed_tokens(trainings: Sequence[Manifest]) -> int | None:
    """The sum of their compute; None without any: there is no limit."""
    return sum(tokens_spent(manifest.counts) for manifest in trainings) if trainings else None
