"""The job file of a training, which the step writes for its job; the job hands back a plain `JobResult`."""

from pydantic import BaseModel, ConfigDict

from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.train.methods.registry import AnyTrainSettings


class TrainingJob(BaseModel):
    """One training: the rows' address, the model it starts from, and where the result is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    address: str
    task: str
    settings: AnyTrainSettings
    dataset: str
    start: str

    @property
    def store(self) -> Store:
        """The store at the output's address."""
        return open_store(self.root).at(self.address)
