"""The manifest: written last, so that its existence says the output is whole."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.shared.errors import DamagedError, InputError, NotFoundError
from components.shared.store import open_store

MANIFEST = "manifest.json"
RECORDED_PACKAGES = (
    "tutelage",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "deepspeed",
    "ray",
    "lm-eval",
    "mergekit",
)


class Shard(BaseModel):
    """One file of an output. `rows` is 0 for files that hold no rows.

    A `record` tells of the making (times, rates): it differs from run to run, so it is no part of what was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int = 0
    bytes: int
    sha256: str
    record: bool = False


class Cost(BaseModel):
    """What making the output took: wall-clock seconds, tokens, and the price by the recipe's price list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    price: float = 0.0
    currency: str = ""


class Parent(BaseModel):
    """An input: its address relative to the root (or a model's reference), and its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    digest: str


class Manifest(BaseModel):
    """What lies at an address, what made it, and of what.

    `address` is relative to the store's root, `STEP/KEY`, so that a store can be moved or mirrored whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    step: str
    step_version: int
    address: str
    content: str = Field(description="what the rows or files are, with its version: instruction/1, model/1, …")
    shards: tuple[Shard, ...]
    settings: dict[str, Any]
    parents: dict[str, Parent]
    versions: dict[str, str]
    counts: dict[str, float]
    cost: Cost
    created: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content alone: equal bytes have equal digests, whenever and wherever they were made."""
        facts = [self.content, sorted((shard.name, shard.sha256) for shard in self.shards if not shard.record)]
        return hashlib.sha256(canonical(facts)).hexdigest()

    @property
    def parent(self) -> Parent:
        """This output as somebody's input."""
        return Parent(address=self.address, digest=self.digest)

    def shard(self, name: str) -> Shard:
        """The shard of that name. Raises InputError."""
        for shard in self.shards:
            if shard.name == name:
                return shard
        raise InputError(
            f"{self.address} has no {name!r}", allowed=[shard.name for shard in self.shards], remedy="check the input"
        )


def canonical(value: Any) -> bytes:
    """JSON bytes that are the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def installed_versions() -> dict[str, str]:
    """Versions of the packages that shape results, for those that are installed."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def find_manifest(root: str, address: str) -> Manifest | None:
    """The manifest at an address, or None when the output is not whole. Raises DamagedError."""
    try:
        return parse_manifest(open_store(root).at(address).read(MANIFEST), where=f"{root}/{address}")
    except NotFoundError:
        return None


def load_manifest(root: str, address: str) -> Manifest:
    """The manifest at an address. Raises NotFoundError when the output is not whole."""
    manifest = find_manifest(root, address)
    if manifest is None:
        raise NotFoundError(
            f"{root}/{address} has no {MANIFEST}",
            rule="an output is whole only with its manifest",
            remedy="run the step that makes it again",
        )
    return manifest


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest's bytes. Raises DamagedError when they are no manifest."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise DamagedError(
            f"{where}: {MANIFEST} is damaged: {error.errors()[0]['msg']}", remedy="delete it and run the step again"
        ) from error


def parents_of(inputs: Mapping[str, "Manifest | Parent"]) -> dict[str, Parent]:
    """Inputs by name as parents."""
    return {name: item.parent if isinstance(item, Manifest) else item for name, item in sorted(inputs.items())}
