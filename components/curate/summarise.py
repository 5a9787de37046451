"""The curate step's summary as Markdown, for Kubeflow's page."""

from components.curate.report import Report
from components.shared.manifest import Manifest
from components.shared.shards import read_bytes

SHOWN_LABELS = 20


def summarise(root: str, manifest: Manifest) -> str:
    """Drops by reason, diversity before and after, and the commonest labels."""
    report = Report.model_validate_json(read_bytes(root, manifest, "report.json"))
    lines = [
        "# Curated instructions",
        "",
        f"{report.rows_in} in, {report.rows_out} out, {manifest.cost.seconds:.1f} s.",
        "",
        *_table(("dropped as", "rows"), [(reason, count) for reason, count in report.drops.items() if count]),
        *_table(("diversity", "before", "after"), _diversity(report)),
        *_table(("label", "before", "after"), _labels(report)),
    ]
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(str(cell).replace('|', ' ') for cell in row)} |" for row in cells] + [""]


def _diversity(report: Report) -> list[tuple[object, ...]]:
    before, after = report.diversity.before, report.diversity.after
    named = {
        "type entropy, bits": "type_entropy_bits",
        "label entropy, bits": "label_entropy_bits",
        "label entropy, normalised": "label_entropy_normalised",
        **{f"distinct-{n}, of {after.sampled_rows} rows": f"distinct_{n}" for n in (1, 2, 3)},
    }
    return [(name, getattr(before, field), getattr(after, field)) for name, field in named.items()]


def _labels(report: Report) -> list[tuple[object, ...]]:
    before = sorted(report.pairs.before.items(), key=lambda item: -item[1])[:SHOWN_LABELS]
    return [(label, count, report.pairs.after.get(label, 0)) for label, count in before]
