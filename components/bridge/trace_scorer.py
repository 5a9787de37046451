"""The actor of the second half: the student measures the texts, tries their beginnings, and the best one is chosen."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from components.bridge.choose import REFUSED, best, bridged, dropped, fitting, sft_row
from components.bridge.measure import measured
from components.bridge.results import BridgeShards
from components.bridge.settings import BridgeAssignment
from components.bridge.taught_problem import WrittenProblem
from components.bridge.try_beginnings import BeginningTest
from components.models.conversation.chat_template import Refusal
from components.models.likelihood.likelihood import LikelihoodModel
from components.models.rollouts.fates import PENDING
from components.shared.rollout_rows import BridgeText
from components.shared.store.open_store import open_store


class ScoredSlice(BaseModel):
    """A finished slice: how many problems it has, and how many of them have a text to learn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    problems: int
    chosen: int


class TraceScorer:
    """Chooses texts with the student, which is loaded for the first slice.

    Args:
        assignment: the job's BridgeAssignment as JSON.
        kinds: of the problems' checks.
        threads: CPU threads for the student.
    """

    def __init__(self, assignment: str, kinds: Sequence[str], threads: int) -> None:
        self.assignment = BridgeAssignment.model_validate_json(assignment)
        self.settings, self.threads = self.assignment.settings, threads
        self.shards = BridgeShards(open_store(self.assignment.root).at(self.assignment.address))
        self._student: LikelihoodModel | None = None
        self._test = BeginningTest(self.settings, self.assignment.student, kinds, threads)

    def score_slice(self, index: int) -> ScoredSlice:
        """Choose a text for each problem of a slice, and write the slice.

        Raises:
            DamagedError: what the teacher wrote for the slice is damaged.
            ModelError: the student cannot be loaded, or a text does not fit into memory.
            NotFiniteError: the student's log-probability of a text is infinite or NaN.
            SandboxError, SettingsError: a check cannot run here.
        """
        problems = self.shards.read_texts(index)
        texts, refusals = self._measured(problems)
        if self.settings.prefix is not None:
            self._try_beginnings(problems, texts)
        rows = [bridged(problem, some) for problem, some in zip(problems, texts, strict=True)]
        learnt = [sft_row(problem, row) for problem, row in zip(problems, rows, strict=True)]
        lost = [
            dropped(row, problem.refusal or refusal)
            for problem, row, refusal in zip(problems, rows, refusals, strict=True)
        ]
        self.shards.write(index, [row for row in learnt if row], rows, [row for row in lost if row])
        return ScoredSlice(index=index, problems=len(rows), chosen=sum(row is not None for row in learnt))

    def close(self) -> None:
        """Close the student and the checks."""
        if self._student is not None:
            self._student.close()
        self._student = None
        self._test.close()

    def _measured(self, problems: Sequence[WrittenProblem]) -> tuple[list[list[BridgeText]], list[str]]:
        """The texts of each problem with measurements and fates, and why the student's template refuses it, if so."""
        texts = [list(problem.texts) for problem in problems]
        refusals = [""] * len(problems)
        places = [
            (row, place) for row, some in enumerate(texts) for place, text in enumerate(some) if text.fate == PENDING
        ]
        pairs = [((tuple(problems[row].row.prompt()), texts[row][at].text), texts[row][at]) for row, at in places]
        names = [problems[row].row.id for row, _ in places]
        found = measured(self._load(), pairs, names, self.settings.rank_clip) if pairs else []
        for (row, place), one in zip(places, found, strict=True):
            if isinstance(one, Refusal):
                refusals[row] = str(one)
                texts[row][place] = texts[row][place].model_copy(update={"fate": REFUSED})
            else:
                texts[row][place] = fitting(one, self.assignment.cap, self.settings.least_steps)
        return texts, refusals

    def _try_beginnings(self, problems: Sequence[WrittenProblem], texts: Sequence[list[BridgeText]]) -> None:
        """Try the best rewriting of each problem, then the next best where it fails, until one passes or none is left.

        Args:
            problems: of the slice.
            texts: of each problem; those that are tried are replaced.
        """
        waiting = list(range(len(problems)))
        while waiting:
            chosen = [(number, best(texts[number])) for number in waiting]
            tried = [
                (number, place)
                for number, place in chosen
                if place is not None and self._test.applies(texts[number][place])
            ]
            found = self._test.tried([(problems[number].row, texts[number][place]) for number, place in tried])
            for (number, place), text in zip(tried, found, strict=True):
                texts[number][place] = text
            waiting = [number for number, place in tried if texts[number][place].fate != PENDING]

    def _load(self) -> LikelihoodModel:
        if self._student is None:
            import torch

            torch.set_num_threads(self.threads)
            self._student = LikelihoodModel.load(self.assignment.student, precision=self.settings.precision)
        return self._student
