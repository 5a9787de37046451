"""What a training method declares: its settings, its rows and their part, its batches, its trainer and its metrics.

A method is one file of this folder and one line in `registry.py`. The train step, its job and the recipes read the
registry to know what may be trained, so importing a method must load neither torch nor trl nor numpy: its functions
import them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from components.shared.outputs.manifest import Shard
from components.shared.rows import Row
from components.train.batches.split import Split
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    import numpy as np

    from components.models.generators.generator import Sampling
    from components.shared.finding import Look
    from components.shared.step import Image
    from components.train.batches.build_dataset import Template
    from components.train.batches.token_files import TokenFiles
    from components.train.memory import Generation
    from components.train.objectives.objective import Objective

SomeSettings = TypeVar("SomeSettings", bound=TrainSettings)


@dataclass(frozen=True)
class TrainingData:
    """Rows as the trainer reads them.

    Attributes:
        columns: the data set's columns, by name: token ids of each row, or single values.
        order: row numbers of that data set in the order in which they are trained on, shape (steps * global_batch,).
        lengths: tokens of each row of the data set, for the record.
        positions: most positions of each row in a packed forward pass; left out: as many as it has tokens.
        together: rows of the order, from one of its multiples to the next, that all ranks read in one forward pass.
        counts: counts of the data for the manifest.
        arguments: trainer arguments that follow from the data.
        fewest: fewest tokens that training on a row can cost, where rollouts decide how many; left out: its tokens.
        notes: what a person should know about how the rows were put together, for the log.
    """

    columns: Mapping[str, Any]
    order: "np.ndarray"
    lengths: "np.ndarray"
    counts: dict[str, float] = field(default_factory=dict)
    arguments: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    positions: "np.ndarray | None" = None
    together: int = 1
    fewest: "np.ndarray | None" = None

    @property
    def fewest_tokens(self) -> "np.ndarray":
        """Fewest tokens that training on each row costs, shape (rows,)."""
        return self.lengths if self.fewest is None else self.fewest

    @property
    def pass_positions(self) -> "np.ndarray":
        """Positions of each row, shape (rows,)."""
        return self.lengths if self.positions is None else self.positions

    def dataset(self) -> Any:
        """The columns as a `datasets.Dataset`, on the same file if they are mapped from one."""
        from datasets import Dataset

        from components.train.batches.token_table import TokenTable

        return self.columns.dataset() if isinstance(self.columns, TokenTable) else Dataset.from_dict(self.columns)


@dataclass(frozen=True)
class Beside:
    """What a method's trainer makes beside the model.

    Attributes:
        shards: written by the trainer to its `store`, the one at the training's address.
        counts: for the manifest.
    """

    shards: tuple[Shard, ...] = ()
    counts: dict[str, float] = field(default_factory=dict)


class TrainingMethod(ABC, Generic[SomeSettings]):
    """How a model is trained on which rows. Everything that depends on the method is here; the engine is shared."""

    name: ClassVar[str]
    """Its name in recipes: the value of `method`, and its key in the registry."""

    does: ClassVar[str]
    """What it does, in a line of the table of methods."""

    source: ClassVar[str]
    """The paper that defines its loss."""

    has_reference: ClassVar[bool] = False
    """Whether the loss compares with the model that training starts from, whose log-probs are computed once."""

    part: ClassVar[str]
    """Part of the dataset that holds its rows; two methods may read one part."""

    row_type: ClassVar[type[Row]]
    """Type of those rows."""

    responses: ClassVar[int] = 1
    """Responses of a row, which are in one forward pass, each after the prompt."""

    settings: type[SomeSettings]
    """Settings of a training by this method."""

    metrics: ClassVar[Mapping[str, str]] = {}
    """Metrics that the trainer logs at each step, and their names in losses.jsonl and, averaged, in the counts."""

    def check_rows(self, rows: Iterator[Any]) -> None:
        """Check the rows before the job starts; here: the first, in which a wrong input shows. Raises InputError."""
        next(rows, None)

    @abstractmethod
    def prepare(
        self,
        rows: Iterable[Any],
        template: "Template",
        settings: SomeSettings,
        split: Split,
        files: "TokenFiles | None" = None,
    ) -> TrainingData:
        """Turn rows into columns, and put them into the order of the training.

        Every process calls this. `files` makes the tables of tokens, once on a machine; left out: in memory.

        Raises:
            InputError: the rows do not fit the method, or none is left.
            ModelError: the tokenizer has no end token.
        """

    def reads_others(self, settings: SomeSettings) -> bool:
        """Whether every epoch also reads responses of other rows, without gradients; their tokens are `kl_tokens`."""
        return False

    def image_needed(self, settings: SomeSettings) -> "Image | None":
        """The image, of those that ship, that alone has the packages of these settings; None: that of the step."""
        return None

    def check_machine(self, settings: SomeSettings) -> None:
        """Raises SettingsError where the training cannot run on this machine; called before anything starts on it."""

    def looks(self, settings: SomeSettings, where: str) -> Iterator["Look"]:
        """What doctor looks at beside the start; `where` is the settings' place in the recipe, in words."""
        return iter(())

    def rollout_sampling(self, settings: SomeSettings) -> "Sampling | None":
        """How it samples rollouts while it trains, in the fields that are set; None: it draws none."""
        return None

    def generation(self, settings: SomeSettings, ranks: int) -> "Generation | None":
        """What one of `ranks` processes draws at a time while it trains, for the estimate of memory; None: nothing."""
        return None

    def decides_tokens(self, settings: SomeSettings) -> Mapping[str, Any]:
        """The settings that decide the tokens of rows, so that other trainings read them too; here: all of them."""
        return settings.key_material()

    def objective(self, settings: SomeSettings, data: TrainingData) -> "Objective[Any] | None":
        """The loss on packed rows (imports torch); None: the method trains with `trainer_type` alone."""
        return None

    def padded_rows(self, dataset: Any) -> Any:
        """The data set with the columns that the padded trainer reads; here: its own."""
        return dataset

    @abstractmethod
    def arguments(self, common: dict[str, Any], settings: SomeSettings, data: TrainingData) -> Any:
        """The padded trainer's arguments object; `common` are the arguments that all methods share."""

    @abstractmethod
    def trainer_type(self, settings: SomeSettings) -> type[Any]:
        """The padded trainer's class (imports trl), with the parts of the loss that trl's arguments cannot express.

        It trains models that cannot read packed rows, and methods without an objective.
        """

    def beside(self, log: Sequence[Mapping[str, Any]], settings: SomeSettings) -> Beside:
        """What its trainer made beside the model up to now, by its log, which every checkpoint holds; here: nothing."""
        return Beside()

    def summary(self, counts: Mapping[str, float]) -> Iterable[tuple[str, str]]:
        """What the method adds to the training's summary: labels and values."""
        return ()
