"""The curate step's report.json."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from components.curate.diversity import Diversity


class Facts(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Facts):
    """Rows by name, before and after curation."""

    before: dict[str, int]
    after: dict[str, int]


class Diversities(Facts):
    """Diversity before and after curation, its samples of the same size."""

    before: Diversity
    after: Diversity


class Report(Facts):
    """What curation did.

    `types` counts all collected rows before; `labels` (primary) and `pairs` (`primary / secondary`) count those that
    were labelled: duplicates and overlap never reach the teacher. `cap` is the limit on a label's rows (0: none).
    """

    format: int = 1
    rows_in: int
    rows_out: int
    drops: dict[str, int]
    cap: int
    types: Counts
    labels: Counts
    pairs: Counts
    diversity: Diversities

    def counts(self) -> Mapping[str, float]:
        """The numbers for the manifest."""
        before, after = self.diversity.before, self.diversity.after
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            **{f"dropped_{reason.replace('-', '_')}": count for reason, count in self.drops.items()},
            "labels_before": before.labels,
            "labels_after": after.labels,
            "label_entropy_bits_before": before.label_entropy_bits,
            "label_entropy_bits_after": after.label_entropy_bits,
            "type_entropy_bits_before": before.type_entropy_bits,
            "type_entropy_bits_after": after.type_entropy_bits,
            "distinct_2_before": before.distinct_2,
            "distinct_2_after": after.distinct_2,
        }
