"""A release: the winner's model files with their model card and lineage."""

from dataclasses import dataclass
from typing import Any

from components.publish.gate.judgement import Judgement
from components.publish.lineage.lineage import without_credentials
from components.publish.promotion.model_card import write_model_card
from components.publish.promotion.promote import model_address, model_files
from components.publish.report.build_report import describe_variants
from components.publish.report_schema import ReleaseFacts
from components.shared.outputs.digest import canonical
from components.shared.outputs.manifest import Manifest

CARD = "README.md"
LINEAGE = "lineage.json"


@dataclass(frozen=True)
class Release:
    """The winner's manifest, where it goes, and the small files beside the weights."""

    model: Manifest
    facts: ReleaseFacts
    texts: dict[str, bytes]


def plan_release(judgement: Judgement) -> Release | None:
    """The release; None when nothing passed the gate. Raises ModelError when the winner lacks safetensors weights."""
    winner, model = judgement.winner, judgement.winning_model
    if winner is None or model is None:
        return None
    settings = judgement.settings
    address = model_address(settings.name, settings.version, model)
    facts = next(item for item in describe_variants(judgement) if item.name == winner.name)
    card = write_model_card(judgement, winner, facts, address)
    files = model_files(model)
    return Release(
        model=model,
        facts=ReleaseFacts(
            name=settings.name,
            version=address.rsplit("/", 1)[-1],
            address=address,
            digest=model.digest,
            files=len(files),
            bytes=sum(file.bytes for file in files),
        ),
        texts={CARD: card.encode(), LINEAGE: canonical(_record(judgement, model)) + b"\n"},
    )


def _record(judgement: Judgement, model: Manifest) -> dict[str, Any]:
    """Every ancestor of the model with its digest and settings, inputs first, and the evidence it was judged by."""
    lineage = judgement.lineage
    ancestors = lineage.ancestors(model.address)
    return {
        "model": model.address,
        "digest": model.digest,
        "ancestors": [_ancestor(lineage.manifests[name]) for name in ancestors if name in lineage.manifests],
        "outside": [
            without_credentials(lineage.outside[name].model_dump()) for name in ancestors if name in lineage.outside
        ],
        "evidence": {
            "comparison": judgement.comparison.parent.model_dump(),
            "gate": judgement.gate.model_dump(mode="json"),
        },
    }


def _ancestor(manifest: Manifest) -> dict[str, Any]:
    wanted = {"step", "step_version", "address", "content", "settings", "parents", "versions", "counts", "created"}
    return {"digest": manifest.digest, **without_credentials(manifest.model_dump(mode="json", include=wanted))}
