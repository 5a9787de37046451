"""Publish: judge the variants, promote the winner, and write the report."""

from collections.abc import Sequence

from components.publish.audit.truth import Truth, read_truth
from components.publish.gate.judge import judge
from components.publish.gate.judgement import Judgement
from components.publish.gate.scores import score_of
from components.publish.lineage.lineage import Lineage, trace
from components.publish.promotion.promote import promote
from components.publish.promotion.release import plan_release
from components.publish.report.build_report import build_report
from components.publish.report.render import write_report
from components.publish.report_schema import Report
from components.publish.settings import PublishSettings
from components.publish.step import REPORT, STEP
from components.shared.errors import InputError
from components.shared.log import say
from components.shared.outputs.digest import digest_bytes
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.page.formats import percent
from components.shared.parse_json import parse_json
from components.shared.rows import COMPARISON, ComparisonTable

COMPARISON_FILE = "comparison.json"
REPORT_FILE = "report.json"
PAGE_FILE = "report.html"


def publish_best(
    library: Library, settings: PublishSettings, comparison: Manifest, beside: Sequence[Manifest] = ()
) -> Manifest:
    """Promote the best variant to models/NAME/VERSION if one passes the gate, and write report.json and report.html.

    Args:
        library: where outputs are stored.
        settings: the gate, the model's name, where the planted truth is.
        comparison: manifest of compare's output (content comparison/1).
        beside: outputs that the report shows too, though no compared model comes from them.

    Raises:
        InputError: the input is not a comparison, or the truth file is wrong.
        SettingsError: the gate names a benchmark that was not run.
        NotFoundError, DamagedError: something that the comparison comes from is missing, or has changed since.
        ExistsError: the version holds another model.
    """
    if comparison.content != COMPARISON:
        raise InputError(
            f"{comparison.address} holds {comparison.content}",
            rule="publish takes a comparison of evaluated models",
            allowed=[COMPARISON],
            remedy="give it a comparison",
        )
    truth = read_truth(settings.planted) if settings.planted else None
    inputs: dict[str, Manifest | Parent] = {"comparison": comparison}
    inputs |= {f"beside_{place}": other for place, other in enumerate(beside, start=1)}
    if truth is not None:
        inputs["planted"] = Parent(address=settings.planted, digest=digest_bytes(truth.data))
    output = Output(library, REPORT, settings, inputs)
    return output.made(
        lambda: _publish(output, settings, trace(library, comparison, beside), truth),
        is_complete=lambda done: _is_complete(library, done),
    )


def read_report(library: Library, manifest: Manifest) -> Report:
    """The report of a publish output. Raises DamagedError."""
    return parse_report(library.read_bytes(manifest, REPORT_FILE), where=f"{manifest.address}/{REPORT_FILE}")


def read_page(library: Library, manifest: Manifest) -> str:
    """The report's HTML page. Raises DamagedError."""
    return library.read_bytes(manifest, PAGE_FILE).decode()


def parse_report(data: bytes, where: str) -> Report:
    """Read a report's bytes. Raises DamagedError when they are not a report of this version."""
    return parse_json(data, Report, where, "run the publish step again with this version of Tutelage")


def summarise(library: Library, manifest: Manifest) -> str:
    """The outcome and the comparison as Markdown."""
    report = read_report(library, manifest)
    benchmarks = list(dict.fromkeys(score.benchmark for variant in report.variants for score in variant.scores))
    lines = [
        f"**{report.gate.sentence}**",
        "",
        "On all questions, those on which the variant was chosen among them:",
        "",
        f"| variant | {' | '.join(benchmarks)} |",
        "|---" * (len(benchmarks) + 1) + "|",
    ]
    for variant in report.variants:
        scores = {score.benchmark: score for score in variant.scores}
        cells = [percent(scores[name]) if name in scores else "" for name in benchmarks]
        name = f"{variant.name} (endpoint)" if variant.kind == "endpoint" else variant.name
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"Per cent ± standard error. Model: `{report.release.address}`" if report.release else ""]
    return "\n".join(lines).rstrip() + "\n"


def _is_complete(library: Library, manifest: Manifest) -> bool:
    """Whether the promoted model still exists."""
    release = read_report(library, manifest).release
    return release is None or library.find(release.address) is not None


def _publish(output: Output, settings: PublishSettings, lineage: Lineage, truth: Truth | None) -> Manifest:
    library, comparison = output.library, lineage.manifests[lineage.target]
    table = ordered(read_table(library, comparison), settings.order)
    outside = frozenset(variant.name for variant in table.variants if lineage.with_digest(variant.digest) is None)
    judgement = Judgement(settings, lineage, table, judge(table, settings.gate, outside))
    say(STEP.name, judgement.gate.sentence)
    release = plan_release(judgement)
    # The report is made first: a model must not be promoted when its evidence cannot be read.
    report = build_report(library, judgement, release.facts if release else None, truth)
    page = write_report(report)
    if release:
        promote(library, release.facts.address, release.model, release.texts)
        say(STEP.name, f"the promoted model is at {release.facts.address}")
    # Keys keep their order (largest counts first), so that the page made from the file again is the same.
    output.write_bytes(REPORT_FILE, report.model_dump_json(indent=1).encode() + b"\n")
    output.write_bytes(PAGE_FILE, page.encode())
    return output.finish(_counts(report))


def read_table(library: Library, comparison: Manifest) -> ComparisonTable:
    """The comparison's table. Raises DamagedError and InputError."""
    data = library.read_bytes(comparison, COMPARISON_FILE)
    table = parse_json(
        data, ComparisonTable, f"{comparison.address}/{COMPARISON_FILE}", f"run the {comparison.step} step again"
    )
    base = next((variant for variant in table.variants if variant.name == table.base), None)
    if base is None or not base.scores:
        raise InputError(
            f"{comparison.address} holds no scores of its base {table.base!r}",
            rule="variants are measured against the base",
            allowed=[variant.name for variant in table.variants],
            remedy="evaluate the base model with the variants",
        )
    return table


def ordered(table: ComparisonTable, order: Sequence[str]) -> ComparisonTable:
    """The table with its base first and its variants in an order; those that it does not name follow as they are.

    Kubeflow hands models over as a struct, which keeps no order, so the comparison itself has them by name.
    """
    places = {name: place for place, name in enumerate(dict.fromkeys((table.base, *order)))}
    variants = sorted(table.variants, key=lambda variant: places.get(variant.name, len(places)))
    return table.model_copy(update={"variants": tuple(variants)})


def _counts(report: Report) -> dict[str, float]:
    """The numbers that Kubeflow shows as metrics; scores are those of the questions that decide."""
    counts: dict[str, float] = {
        "variants": len(report.variants),
        "passed": sum(verdict.passed for verdict in report.gate.verdicts),
        "promoted": int(report.release is not None),
    }
    benchmark = report.run.benchmark
    for variant in report.variants:
        if variant.name in {report.run.base, report.gate.winner}:
            name = "base_score" if variant.name == report.run.base else "winner_score"
            counts[name] = score_of(variant.confirmation, benchmark) or 0.0
    for planted in report.planted or ():
        name = planted.kind.replace("-", "_")
        measures = {f"recall_{name}": planted.recall, f"precision_{name}": planted.precision}
        counts |= {key: value for key, value in measures.items() if value is not None}
    return counts
