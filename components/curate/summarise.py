"""The curate step's summary in Markdown, for the Kubeflow UI."""

from components.curate.report import CurateReport
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.text.counted import counted

SHOWN_LABELS = 20


def summarise(library: Library, manifest: Manifest) -> str:
    """Tables of drops by reason, diversity before and after, and the most frequent labels."""
    report = CurateReport.model_validate_json(library.read_bytes(manifest, "report.json"))
    lines = [
        "# Curated instructions",
        "",
        f"{report.rows_in} in, {report.rows_out} out, {manifest.cost.seconds:.1f} s.",
        "",
        *_control_text(report),
        *_table(("dropped as", "rows"), [(reason, count) for reason, count in report.drops.items() if count]),
        *_table(("diversity", "before", "after"), _diversity(report)),
        *_table(("label", "before", "after"), _labels(report)),
    ]
    return "\n".join(lines)


def _control_text(report: CurateReport) -> list[str]:
    count = report.control_text
    return [f"{counted(count, 'label prompt')} spelt a control token: encoded as text.", ""] if count else []


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(str(cell).replace('|', ' ') for cell in row)} |" for row in cells] + [""]


def _diversity(report: CurateReport) -> list[tuple[object, ...]]:
    before, after = report.diversity.before, report.diversity.after
    named = {
        "type entropy, bits": "type_entropy_bits",
        "label entropy, bits": "label_entropy_bits",
        "label entropy, normalised": "label_entropy_normalised",
        **{f"distinct-{n}, of {after.sampled_rows} rows": f"distinct_{n}" for n in (1, 2, 3)},
    }
    return [(name, getattr(before, field), getattr(after, field)) for name, field in named.items()]


def _labels(report: CurateReport) -> list[tuple[object, ...]]:
    before = sorted(report.pairs.before.items(), key=lambda item: -item[1])[:SHOWN_LABELS]
    return [(label, count, report.pairs.after.get(label, 0)) for label, count in before]
