"""Publish: judge the variants, promote the winner, and write the report."""

import hashlib
from collections.abc import Sequence

from pydantic import ValidationError

from components.publish.gate import judge, score_of
from components.publish.judgement import Judgement
from components.publish.lineage import trace
from components.publish.planted import Planted, read_truth
from components.publish.promote import promote
from components.publish.release import plan_release
from components.publish.render import percent, write_report
from components.publish.report import build_report
from components.publish.report_schema import Report
from components.publish.settings import PublishSettings
from components.shared.errors import DamagedError, InputError
from components.shared.log import say
from components.shared.manifest import Manifest, Parent, find_manifest
from components.shared.output import Output
from components.shared.rows import ComparisonTable
from components.shared.shards import read_bytes

STEP = "publish"
VERSION = 2
CONTENT = "report/1"
COMPARISON = "comparison/1"
COMPARISON_FILE = "comparison.json"
REPORT_FILE = "report.json"
PAGE_FILE = "report.html"


def publish_best(root: str, settings: PublishSettings, comparison: Manifest) -> Manifest:
    """Promote the best variant to models/NAME/VERSION if one passes the gate, and write report.json and report.html.

    Args:
        root: the store's root URI.
        settings: the gate, the model's name, where the planted truth is.
        comparison: manifest of evaluate's output (content comparison/1).

    Raises:
        InputError: the input is no comparison, or the planted truth is wrong.
        SettingsError: the gate names a benchmark that was not run.
        NotFoundError, DamagedError: something that the comparison comes from is missing or not what it was.
        ExistsError: the version holds another model.
    """
    if comparison.content != COMPARISON:
        raise InputError(
            f"{comparison.address} holds {comparison.content}",
            rule="publish takes a comparison of evaluated models",
            allowed=[COMPARISON],
            remedy="give it the output of the evaluate step",
        )
    data, truth = read_truth(settings.planted) if settings.planted else (b"", None)
    inputs: dict[str, Manifest | Parent] = {"comparison": comparison}
    if truth is not None:
        inputs["planted"] = Parent(address=settings.planted, digest=hashlib.sha256(data).hexdigest())
    output = Output(root, STEP, VERSION, settings, inputs)
    if (done := output.manifest()) and _is_whole(root, done):
        return done
    with output.writing():
        return _publish(output, settings, comparison, truth)


def read_report(root: str, manifest: Manifest) -> Report:
    """The report of a publish output. Raises DamagedError."""
    return parse_report(read_bytes(root, manifest, REPORT_FILE), where=f"{manifest.address}/{REPORT_FILE}")


def read_page(root: str, manifest: Manifest) -> str:
    """The report's HTML page. Raises DamagedError."""
    return read_bytes(root, manifest, PAGE_FILE).decode()


def parse_report(data: bytes, where: str) -> Report:
    """Read a report's bytes. Raises DamagedError when they are no report of this version."""
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        raise DamagedError(
            f"{where} is no report: {error.errors()[0]['msg']}",
            remedy="run the publish step again with this version of Tutelage",
        ) from error


def summarise(root: str, manifest: Manifest) -> str:
    """The outcome and the comparison as Markdown."""
    report = read_report(root, manifest)
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
        lines.append(f"| {variant.name} | {' | '.join(cells)} |")
    lines += ["", f"Per cent ± standard error. Model: `{report.release.address}`" if report.release else ""]
    return "\n".join(lines).rstrip() + "\n"


def _is_whole(root: str, manifest: Manifest) -> bool:
    """Whether what the output says was promoted is still there."""
    release = read_report(root, manifest).release
    return release is None or find_manifest(root, release.address) is not None


def _publish(output: Output, settings: PublishSettings, comparison: Manifest, truth: list[Planted] | None) -> Manifest:
    root = output.root
    lineage, table = trace(root, comparison), ordered(read_table(root, comparison), settings.order)
    outside = frozenset(variant.name for variant in table.variants if lineage.with_digest(variant.digest) is None)
    judgement = Judgement(settings, lineage, table, judge(table, settings.gate, outside))
    say(STEP, judgement.gate.sentence)
    release = plan_release(judgement)
    # The report is made first: a model is not promoted while its evidence cannot be read.
    report = build_report(root, judgement, release.facts if release else None, truth)
    page = write_report(report)
    if release:
        promote(root, release.facts.address, release.model, release.texts)
        say(STEP, f"the promoted model lies at {release.facts.address}")
    # Keys keep their order (largest counts first), so that the page made from the file again is the same.
    output.write_bytes(REPORT_FILE, report.model_dump_json(indent=1).encode() + b"\n")
    output.write_bytes(PAGE_FILE, page.encode())
    return output.finish(CONTENT, _counts(report))


def read_table(root: str, comparison: Manifest) -> ComparisonTable:
    """The comparison's table. Raises DamagedError and InputError."""
    data = read_bytes(root, comparison, COMPARISON_FILE)
    try:
        table = ComparisonTable.model_validate_json(data)
    except ValidationError as error:
        raise InputError(
            f"{comparison.address}/{COMPARISON_FILE} is no comparison: {error.errors()[0]['msg']}",
            remedy="run the evaluate step again with this version of Tutelage",
        ) from error
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
