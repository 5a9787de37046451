"""The job file of a training, which the step writes for its job; the job hands back a plain `JobResult`."""

from pydantic import BaseModel, ConfigDict

from components.launch.hand_back.files import JOB_FILE
from components.shared.store.open_store import open_store
from components.shared.store.store import Store
from components.shared.store.uri import join
from components.train.methods.registry import AnyTrainSettings


class TrainingJob(BaseModel):
    """One training: the rows' address, the model it starts from, and where the result is written.

    `earlier` are the addresses of the models of earlier epochs that it hands over, by epoch. `allowed_tokens` is the
    compute after which it ends (`components/shared/outputs/training_compute.py`); None: after its epochs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    address: str
    task: str
    settings: AnyTrainSettings
    dataset: str
    start: str
    earlier: dict[int, str] = {}
    allowed_tokens: int | None = None

    @property
    def store(self) -> Store:
        """The store at the output's address."""
        return open_store(self.root).at(self.address)

    def store_of(self, epoch: int) -> Store:
        """The store at the address of an earlier epoch's model."""
        return open_store(self.root).at(self.earlier[epoch])

    def place_of(self, epoch: int) -> str:
        """The URI that the job file of the training that ends after an earlier epoch would have."""
        return join(self.root, self.earlier[epoch], JOB_FILE)
