"""The prefix test: given the first steps of a text, does the student go on to the right answer?"""

from collections.abc import Sequence

from components.bridge.choose import UNFINISHED
from components.bridge.settings import BridgeSettings, PrefixTest
from components.models.generators.generator import ChatRequest
from components.models.generators.read_reply import read_reply
from components.models.rollouts.problems import Problem
from components.models.rollouts.shared_model import SharedModel
from components.rewards.checks.shared_judge import SharedJudge
from components.shared.outputs.digest import digest_value, hex_of
from components.shared.rollout_rows import BridgeText, Routed
from components.shared.text.numbered_steps import first_steps

KEY = 8

Tried = Sequence[tuple[Routed, BridgeText]]


class BeginningTest:
    """Tries the beginnings of texts with the student, which is opened for the first one.

    Args:
        settings: of the step.
        student: its reference.
        kinds: of the problems' checks.
        threads: CPU threads for the student.
    """

    def __init__(self, settings: BridgeSettings, student: str, kinds: Sequence[str], threads: int) -> None:
        self._settings = settings
        self._model = SharedModel(self._prefix.generator, student, threads) if settings.prefix else None
        self._judge = SharedJudge(kinds, settings.code_limits, settings.check_threads)

    @property
    def _prefix(self) -> PrefixTest:
        assert self._settings.prefix is not None  # asked only with a prefix test
        return self._settings.prefix

    def applies(self, text: BridgeText) -> bool:
        """Whether a text is tested: a rewriting of several steps that was not tested before."""
        return text.origin == "rewritten" and not text.finishes and bool(first_steps(text.text, self._prefix.share))

    def tried(self, texts: Tried) -> list[BridgeText]:
        """The texts with how often the student finished them, and with a fate where that was not often enough.

        An answer that could not be checked, or did not come, says nothing: it is as if it could have been right.

        Raises:
            ModelError: the student cannot be loaded.
            SandboxError, SettingsError: a check cannot run here.
        """
        answers = self._answers(texts)
        flat = [(row, answer) for (row, _), some in zip(texts, answers, strict=True) for answer in some]
        verdicts = iter(self._judge.open().verdicts(flat) if flat else [])
        return [
            self._judged(text, [next(verdicts) for _ in some]) for (_, text), some in zip(texts, answers, strict=True)
        ]

    def close(self) -> None:
        """Close the student and the checks."""
        if self._model is not None:
            self._model.close()
        self._judge.close()

    def _judged(self, text: BridgeText, verdicts: Sequence[bool | None]) -> BridgeText:
        known = [passed for passed in verdicts if passed is not None]
        facts = {"finishes": len(known), "finished": sum(known)}
        possible = sum(known) + self._prefix.tries - len(known)
        return text.model_copy(update=facts | ({"fate": UNFINISHED} if possible < self._prefix.successes else {}))

    def _answers(self, texts: Tried) -> list[list[str]]:
        """The complete answers of the student to each beginning, beginning included."""
        requests = [list(self._requests(row, text)) for row, text in texts]
        asked = {request.key: request for some in requests for request in some}
        if not asked:
            return [[] for _ in texts]
        assert self._model is not None
        model, found = self._model, dict[str, str]()
        for reply in model.open().answer(list(asked.values()), self._prefix.sampling):
            rest = None if reply.refused else read_reply(reply, lambda: False)
            if rest is not None:
                found[reply.key] = asked[reply.key].opening + rest
        return [[found[request.key] for request in some if request.key in found] for some in requests]

    def _requests(self, row: Routed, text: BridgeText) -> list[ChatRequest]:
        problem = Problem.of(row, self._settings.system_prompt)
        opening = first_steps(text.text, self._prefix.share)
        key = f"{problem.key}/{hex_of(digest_value(opening), KEY)}"
        return [
            ChatRequest(key=f"{key}/{number}", messages=problem.messages, opening=opening)
            for number in range(self._prefix.tries)
        ]
