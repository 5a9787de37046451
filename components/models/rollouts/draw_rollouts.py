"""Draws the rollouts that are missing, and keeps them as they come."""

import time
from collections.abc import Iterable

from components.models.generators.generator import ChatRequest, Reply, Sampling
from components.models.generators.read_reply import read_reply
from components.models.generators.settle_reply import needs_more_tokens
from components.models.rollouts.kept_rollouts import DrawnRollout, KeptRollouts
from components.models.rollouts.shared_model import SharedModel

# After a kill, these many rollouts at most, or the rollouts of these many seconds, are drawn again.
PART_ROLLOUTS = 64
PART_SECONDS = 2.0

Outcomes = dict[str, DrawnRollout | Reply]
"""By the key of its request, a rollout, or the reply that was none: it failed, or the conversation was refused."""


class RolloutDrawer:
    """Draws rollouts of one model with one sampling.

    Args:
        model: opened for the first rollout that is missing.
        sampling: how rollouts are sampled.
        kept: where they are kept.
    """

    def __init__(self, model: SharedModel, sampling: Sampling, kept: KeptRollouts) -> None:
        self._model, self._sampling, self.kept = model, sampling, kept

    def draw_missing(self, requests: Iterable[ChatRequest], outcomes: Outcomes) -> None:
        """Add the outcomes of the requests that have none yet, each drawn once; equal conversations share them.

        Raises:
            GenerationError, ModelError, SettingsError: the model cannot be opened, or does not answer any more.
        """
        missing = {request.key: request for request in requests if request.key not in outcomes}
        if missing:
            outcomes |= self._draw(missing)

    def _draw(self, requests: dict[str, ChatRequest]) -> Outcomes:
        generator, outcomes = self._model.open(), Outcomes()
        waiting: list[DrawnRollout] = []
        stored_at = time.monotonic()
        try:
            for reply in generator.answer(list(requests.values()), self._sampling):
                outcomes[reply.key] = outcome = self._read(reply, requests[reply.key])
                if isinstance(outcome, DrawnRollout):
                    waiting.append(outcome)
                if len(waiting) >= PART_ROLLOUTS or time.monotonic() - stored_at > PART_SECONDS:
                    self.kept.append(waiting)
                    waiting, stored_at = [], time.monotonic()
        finally:
            self.kept.append(waiting)
        return outcomes

    def _read(self, reply: Reply, request: ChatRequest) -> DrawnRollout | Reply:
        text = None if reply.refused else read_reply(reply, lambda: self._model.opens_thought(request.messages))
        if text is None:
            return reply
        truncated = reply.finish == "length" or needs_more_tokens(reply)
        return DrawnRollout(
            key=reply.key,
            text=text,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            finish="length" if truncated else "stop",
        )
