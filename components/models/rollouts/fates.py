"""What becomes of a text that a model was asked for."""

from components.models.rollouts.kept_rollouts import DrawnRollout

PENDING, FAILED, NO_VERDICT, WRONG, TRUNCATED = "", "failed", "no_verdict", "wrong", "truncated"
"""Nothing yet, since it is right; it did not come; its check failed; it is wrong; max_tokens ended it."""


def fate_of(drawn: DrawnRollout, passed: bool | None) -> str:
    """The fate of a text by the verdict of its check, None without one."""
    if passed is None:
        return NO_VERDICT
    if not passed:
        return WRONG
    return TRUNCATED if drawn.finish == "length" else PENDING
