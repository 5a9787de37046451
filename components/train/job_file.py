"""What the step hands to its job, and what the job hands back: two small files at the output's address."""

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.errors import DamagedError, NotFoundError
from components.shared.manifest import Cost, Shard
from components.shared.store import Store, open_store
from components.train.settings import TrainSettings

JOB_FILE = "job.json"
RESULT_FILE = "result.json"

SomeFile = TypeVar("SomeFile", bound=BaseModel)


class TrainJob(BaseModel):
    """One training: the rows' address, the model it starts from, and where the result goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    address: str
    task: str
    settings: TrainSettings
    dataset: str
    start: str

    @property
    def store(self) -> Store:
        """The store at the output's address."""
        return open_store(self.root).at(self.address)


class TrainResult(BaseModel):
    """Files that the job put at the address, its counts and its cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: tuple[Shard, ...]
    counts: dict[str, float]
    cost: Cost


def read_job(uri: str) -> TrainJob:
    """Read the job file that `--job URI` names. Raises NotFoundError and DamagedError."""
    folder, _, name = uri.rpartition("/")
    return _parse(TrainJob, open_store(folder).read(name), uri)


def read_result(store: Store) -> TrainResult | None:
    """The job's result, or None when the job has not come to its end. Raises DamagedError."""
    try:
        return _parse(TrainResult, store.read(RESULT_FILE), f"{store.uri}/{RESULT_FILE}")
    except NotFoundError:
        return None


def write_file(store: Store, name: str, value: BaseModel) -> None:
    """Write one of the two files."""
    store.write(name, (json.dumps(value.model_dump(mode="json"), indent=1) + "\n").encode())


def _parse(kind: type[SomeFile], data: bytes, where: str) -> SomeFile:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise DamagedError(
            f"{where} is damaged: {error.errors()[0]['msg']}", remedy="delete it and run the train step again"
        ) from error
