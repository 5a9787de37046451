"""The manifest: written last, so that an output with a manifest is complete."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from components.shared.errors import InputError
from components.shared.outputs.digest import digest_value, hex_of, with_algorithm
from components.shared.parse_json import parse_json

MANIFEST = "manifest.json"
FORMAT: Literal[2] = 2
"""Of manifests that are written. Format 1 is read too: its shards had `sha256` for `digest`, and its digests no
algorithm."""
REMEDY = "read it with the version of Tutelage that wrote it, or delete it and run the step again"
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

    A `record` holds measurements of the run (times, rates). It differs from run to run, so the output's digest leaves
    it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rows: int = 0
    bytes: int
    digest: str
    record: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, given: Any) -> Any:
        if isinstance(given, dict) and "sha256" in given:
            given = {**given, "digest": given["sha256"]}
            del given["sha256"]
        return given

    _name_algorithm = field_validator("digest")(with_algorithm)


class Cost(BaseModel):
    """The cost of an output: wall-clock seconds, tokens, and the price by the recipe's price list."""

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

    _name_algorithm = field_validator("digest")(with_algorithm)


class Manifest(BaseModel):
    """What is stored at an address, what made it, and from which inputs.

    `address` is relative to the store's root, `STEP/KEY`, so that a store can be moved or mirrored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = FORMAT
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
        """Digest of the content alone: equal bytes have equal digests, whenever and wherever they were made.

        The shards' digests are hashed without their algorithm, so that a manifest of format 1 has the same digest.
        """
        facts = [self.content, sorted((shard.name, hex_of(shard.digest)) for shard in self.shards if not shard.record)]
        return digest_value(facts)

    @property
    def parent(self) -> Parent:
        """This output as an input of another."""
        return Parent(address=self.address, digest=self.digest)

    def shard(self, name: str) -> Shard:
        """The shard of that name. Raises InputError."""
        for shard in self.shards:
            if shard.name == name:
                return shard
        raise InputError(
            f"{self.address} lacks {name!r}", allowed=[shard.name for shard in self.shards], remedy="check the input"
        )


def installed_versions() -> dict[str, str]:
    """Versions of the installed packages among those that affect results."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read the bytes of the manifest at the URI `where`. Raises DamagedError when they are not a valid manifest."""
    return parse_json(data, Manifest, f"{where}/{MANIFEST}", REMEDY)


def parents_of(inputs: Mapping[str, "Manifest | Parent"]) -> dict[str, Parent]:
    """Inputs by name as parents."""
    return {name: item.parent if isinstance(item, Manifest) else item for name, item in sorted(inputs.items())}
