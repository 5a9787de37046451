"""A comparison with its gate's verdicts, as the report, the model card and the promotion need it."""

from dataclasses import dataclass

from components.publish.lineage.lineage import Lineage
from components.publish.report_schema import GateFacts
from components.publish.settings import PublishSettings
from components.shared.outputs.manifest import Manifest
from components.shared.rows import ComparisonTable, Variant


@dataclass(frozen=True)
class Judgement:
    """What was judged, by which rule, and what came out."""

    settings: PublishSettings
    lineage: Lineage
    table: ComparisonTable
    gate: GateFacts

    @property
    def comparison(self) -> Manifest:
        """The comparison's manifest."""
        return self.lineage.manifests[self.lineage.target]

    @property
    def base(self) -> Variant:
        """The variant that the others are measured against."""
        return self._variant(self.table.base)

    @property
    def winner(self) -> Variant | None:
        """The variant to promote, None when nothing passed."""
        return self._variant(self.gate.winner) if self.gate.winner is not None else None

    @property
    def winning_model(self) -> Manifest | None:
        """The winner's manifest in the store, None when nothing passed."""
        return self.lineage.with_digest(self.winner.digest) if self.winner else None

    def _variant(self, name: str) -> Variant:
        return next(variant for variant in self.table.variants if variant.name == name)
