"""The error when no instruction is left, with a remedy for what dropped most of them."""

from components.curate.columns import Columns, DropReason
from components.models.conversation.chat_template import REMEDY
from components.shared.errors import EmptyDataError

REMEDIES = {
    DropReason.TOO_SHORT: "lower minimum_tokens",
    DropReason.TOO_LONG: "raise maximum_characters",
    DropReason.EVALUATION_OVERLAP: "collect instructions that are not from the evaluation sets",
    DropReason.EVALUATION_DUPLICATE: "collect instructions that are not from the evaluation sets, or lower distance",
    DropReason.NEAR_DUPLICATE: "collect more varied instructions, or lower distance",
    DropReason.REFUSED: REMEDY,
    DropReason.UNLABELLED: "adapt label_template to the teacher",
    DropReason.RARE_LABEL: "lower rare_below, set label_level to primary, or collect more instructions",
    DropReason.OVER_CAP: "raise cap or cap_of_median",
    DropReason.OVER_MAXIMUM: "raise maximum_rows",
}


def require_rows(columns: Columns) -> None:
    """Raises EmptyDataError when every row was dropped."""
    if columns.kept().any():
        return
    drops = {reason: count for reason, count in columns.drops().items() if count}
    if not drops:
        raise EmptyDataError("there are no instructions to curate", remedy="check the sources of collect")
    most = DropReason(max(drops, key=drops.__getitem__))
    listed = ", ".join(f"{reason} {count}" for reason, count in drops.items())
    raise EmptyDataError(
        f"all {len(columns)} instructions were dropped: {listed}",
        rule="at least one instruction must remain",
        remedy=REMEDIES[most],
    )
