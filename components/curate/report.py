"""The schema of the curate step's report.json."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from components.curate.diversity import Diversity


class CurateReportPart(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CountsBeforeAfter(CurateReportPart):
    """Rows by name, before and after curation."""

    before: dict[str, int]
    after: dict[str, int]


class DiversityBeforeAfter(CurateReportPart):
    """Diversity before and after curation, of samples of equal size."""

    before: Diversity
    after: Diversity


class CurateReport(CurateReportPart):
    """What curation did.

    `types` counts all collected rows as before; `labels` (primary) and `pairs` (`primary / secondary`) count those
    that were labelled: duplicates and overlaps are dropped earlier. `cap` is the limit on a label's rows (0: none).
    `control_text` counts label prompts whose text spells a control token of the teacher; it was encoded as text.
    """

    format: int = 1
    rows_in: int
    rows_out: int
    drops: dict[str, int]
    cap: int
    control_text: int = 0
    types: CountsBeforeAfter
    labels: CountsBeforeAfter
    pairs: CountsBeforeAfter
    diversity: DiversityBeforeAfter

    def counts(self) -> Mapping[str, float]:
        """The counts for the manifest."""
        before, after = self.diversity.before, self.diversity.after
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            **{f"dropped_{reason.replace('-', '_')}": count for reason, count in self.drops.items()},
            "prompts_with_control_text": self.control_text,
            "labels_before": before.labels,
            "labels_after": after.labels,
            "label_entropy_bits_before": before.label_entropy_bits,
            "label_entropy_bits_after": after.label_entropy_bits,
            "type_entropy_bits_before": before.type_entropy_bits,
            "type_entropy_bits_after": after.type_entropy_bits,
            "distinct_2_before": before.distinct_2,
            "distinct_2_after": after.distinct_2,
        }
