"""Trainings without rows that handed on the model they start from: nothing was left to learn.

A training whose settings expect that (the rounds of a curriculum may run out of problems) completes its output all the
same, with `passed_through.json` in place of the model. A reference to such an output means the model in the file, so
no weights are copied, and what was made of that model is found again.
"""

from pydantic import BaseModel, ConfigDict

from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.store.uri import join

PASSED_THROUGH_FILE = "passed_through.json"


class PassedThrough(BaseModel):
    """Content of `passed_through.json`.

    `model` is the model that was handed on: an address of the same store (`in_store`), so that a store can be moved,
    or else a reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    in_store: bool

    @classmethod
    def of(cls, library: Library, reference: str) -> "PassedThrough":
        """The content for a model's reference."""
        try:
            return cls(model=library.address_of(reference), in_store=True)
        except InputError:
            return cls(model=reference, in_store=False)

    def reference(self, uri: str, address: str) -> str:
        """The model's reference, by the URI and the address of the output that holds this."""
        return join(uri.removesuffix(address), self.model) if self.in_store else self.model


def has_passed_through(manifest: Manifest) -> bool:
    """Whether an output is of a training that handed on the model it starts from."""
    return any(shard.name == PASSED_THROUGH_FILE for shard in manifest.shards)
