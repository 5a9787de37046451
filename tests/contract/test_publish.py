"""The publish step: what it promotes, reports and refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.models.reference import as_parent, local_model
from components.publish.component import publish
from components.publish.publish import ordered, publish_best, read_page, read_report, summarise
from components.publish.settings import Gate, PublishSettings
from components.shared.errors import DamagedError, ExistsError, InputError, ModelError, NotFoundError, SettingsError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import MANIFEST, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import (
    AskedBenchmark,
    Comparison,
    ComparisonTable,
    Instruction,
    PartScores,
    Rejected,
    Score,
    Variant,
)
from tests.stand_in_outputs import stand_in_output

WEIGHTS = bytes(range(256)) * 100
QUIZ = AskedBenchmark(
    name="quiz", metric="exact_match", protocol="the reply", few_shot=0, max_tokens=32,
    samples=8, temperature=0.6, top_p=0.95, pass_at=(4,),
)  # fmt: skip
STUDENT = Parent(address="package:demo/student", digest="5" * 64)


class Run:
    """A small run in a folder store: one data set, one trained model, both evaluated."""

    def __init__(self, folder: Path, p_value: float = 0.001) -> None:
        self.root = str(folder / "store")
        self.p_value = p_value
        self.collected: dict[str, Any] | None = None
        self.endpoint: Parent | None = None

    def output(self, step: str, inputs: dict[str, Manifest | Parent], **settings: Any) -> Output:
        return stand_in_output(self.root, step, settings, inputs)

    def path(self, address: str, name: str = "") -> Path:
        return Path(self.root) / address / name

    def dataset(self) -> Manifest:
        output = self.output("collect", {})
        output.write_rows("rows/00000", [Instruction(id="1", source="demo/a.jsonl", line=1, instruction="?")])
        output.write_rows("rejected/00000", [Rejected(source="demo/a.jsonl", line=2, reason="no-json")])
        if self.collected is not None:
            output.write_json("report.json", self.collected)
        return output.finish({"rows": 1})

    def model(self, weights: str = "model.safetensors") -> Manifest:
        output = self.output("train", {"dataset": self.dataset(), "start": STUDENT}, method="sft")
        output.write_bytes(f"model/{weights}", WEIGHTS)
        output.write_bytes("model/config.json", b'{"model_type": "llama"}')
        output.write_bytes("model/tokenizer.json", b"{}")
        output.write_bytes("model/training_args.bin", b"pickled")
        output.write_bytes("losses.jsonl", b'{"step": 1, "loss": 2.0, "kl": 0.1}\n{"step": 2, "loss": 1.5}\n')
        return output.finish({"steps": 2})

    def compare(self, trained: Manifest) -> Manifest:
        evaluations: dict[str, Manifest | Parent] = {}
        models = {"base": STUDENT, "sft": trained.parent}
        for name, model in {**models, **({"teacher": self.endpoint} if self.endpoint else {})}.items():
            output = self.output("evaluate", {"model": model})
            output.write_json("scores.json", {})
            evaluations[name] = output.finish()
        output = self.output("compare", evaluations, correction="holm")
        output.write_json("comparison.json", self.table(trained))
        return output.finish({"variants": 2})

    def table(self, trained: Manifest) -> ComparisonTable:
        def scores(value: float, count: int = 500) -> tuple[Score, ...]:
            return (Score(benchmark="quiz", metric="exact_match", value=value, standard_error=0.02, count=count),)

        def part(value: float, *gains: Comparison) -> PartScores:
            return PartScores(scores=scores(value, 250), against_base=gains)

        def gain(value: float) -> Comparison:
            return Comparison(benchmark="quiz", difference=value, standard_error=0.03, p_value=self.p_value)

        base = Variant(
            name="base", reference=STUDENT.address, digest=STUDENT.digest, scores=scores(0.4), selection=part(0.38),
            confirmation=part(0.42),
        )  # fmt: skip
        sft = Variant(
            name="sft", reference=trained.address, digest=trained.digest, scores=scores(0.6), against_base=(gain(0.2),),
            selection=part(0.61, gain(0.23)), confirmation=part(0.59, gain(0.17)),
        )  # fmt: skip
        variants = [base, sft]
        if self.endpoint:
            variants.append(
                Variant(
                    name="teacher", reference=self.endpoint.address, digest=self.endpoint.digest, endpoint=True,
                    scores=scores(0.9), against_base=(gain(0.5),), selection=part(0.9, gain(0.52)),
                    confirmation=part(0.9, gain(0.48)),
                )
            )  # fmt: skip
        return ComparisonTable(base="base", asked=(QUIZ,), variants=tuple(variants))

    def write(self) -> Manifest:
        return self.compare(self.model())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_winner_is_promoted_with_weights_tokenizer_card_and_lineage(run: Run) -> None:
    comparison = run.write()
    manifest = publish_best(Library(run.root), PublishSettings(name="tiny", license="apache-2.0"), comparison)
    release = read_report(Library(run.root), manifest).release
    assert release is not None
    folder = run.path(release.address)
    files = {path.name for path in folder.iterdir()}
    assert files == {"model.safetensors", "config.json", "tokenizer.json", "README.md", "lineage.json", MANIFEST}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nlibrary_name: transformers\n")
    assert "| quiz | exact_match | 250 | 59.0 ± 2.0 | 42.0 ± 2.0 | +17.0 | 0.001 |" in card
    assert "value: 0.59\n" in card
    latest = json.loads(run.path("models/tiny", "latest.json").read_text())
    assert latest["address"] == release.address


def test_the_report_shows_the_part_that_chose_and_the_part_that_decided(run: Run) -> None:
    manifest = publish_best(Library(run.root), PublishSettings(gate=Gate(max_loss={"quiz": 0.05})), run.write())
    (verdict,) = read_report(Library(run.root), manifest).gate.verdicts
    assert verdict.selection is not None and verdict.confirmation is not None
    assert (verdict.selection.score, verdict.confirmation.score, verdict.gain) == (0.61, 0.59, 0.17)
    page = read_page(Library(run.root), manifest)
    table = page[page.index('id="gate-table"') :]
    for text in (
        "61.0<small>250 questions",
        "+23.0",
        "59.0<small>250 questions",
        "+17.0<small>+11.1 to +22.9",
        "chosen",
    ):
        assert text in table
    assert "+12.0" in table[table.index('id="losses-table"') :], "the lower bound of the loss"
    assert manifest.counts["base_score"] == 0.42


def test_the_report_says_how_the_benchmarks_were_asked(run: Run) -> None:
    library = Library(run.root)
    manifest = publish_best(library, PublishSettings(), run.write())
    assert read_report(library, manifest).asked == (QUIZ,)
    page = read_page(library, manifest)
    said = "exact_match; the reply; zero-shot; 8 answers at temperature 0.6, top_p 0.95 of at most 32 tokens"
    assert f"<li><b>quiz</b>: {said}</li>" in page


def test_an_endpoint_is_a_row_that_is_shown_as_one_and_never_promoted(run: Run) -> None:
    run.endpoint = Parent(address="openai:models/big/1", digest="7" * 64)
    library = Library(run.root)
    manifest = publish_best(library, PublishSettings(name="tiny"), run.write())
    report, page = read_report(library, manifest), read_page(library, manifest)
    row = report.variants[-1]
    assert (row.name, row.kind, row.reference, row.scores[0].value) == (
        "teacher",
        "endpoint",
        "openai:models/big/1",
        0.9,
    )
    assert report.gate.winner == "sft" and [verdict.variant for verdict in report.gate.verdicts] == ["sft"]
    assert "sft on quiz" in page and "1 of 1<small>variant<" in page, "the figures at the top are those of variants"
    assert ">endpoint</text>" in page and '<th scope="row">endpoint</th><td><code>openai:models/big/1' in page
    assert "hollow: an endpoint" in page
    assert "| teacher (endpoint) | 90.0 ± 2.0 |" in summarise(library, manifest)


def test_too_few_questions_end_in_a_report_and_not_in_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = run.model()
    table = run.table(trained)
    bare = [variant.model_copy(update={"selection": PartScores(scores=())}) for variant in table.variants]
    monkeypatch.setattr(run, "table", lambda _: table.model_copy(update={"variants": tuple(bare)}))
    manifest = publish_best(Library(run.root), PublishSettings(), run.compare(trained))
    assert "the selection part of quiz has 0 questions" in read_page(Library(run.root), manifest)
    assert not run.path("models").exists()


def test_the_lineage_names_every_ancestor_with_digest_and_settings(run: Run) -> None:
    trained = run.model()
    publish_best(Library(run.root), PublishSettings(name="tiny", version="1"), run.compare(trained))
    lineage = json.loads(run.path("models/tiny/1", "lineage.json").read_text())
    assert [item["step"] for item in lineage["ancestors"]] == ["collect", "train"]
    assert lineage["ancestors"][1]["digest"] == trained.digest
    assert lineage["ancestors"][1]["settings"] == {"method": "sft"}
    assert [item["address"] for item in lineage["outside"]] == [STUDENT.address]
    assert lineage["evidence"]["gate"]["winner"] == "sft"


def test_when_nothing_passes_nothing_is_promoted_and_the_report_says_why(tmp_path: Path) -> None:
    run = Run(tmp_path, p_value=0.4)
    manifest = publish_best(Library(run.root), PublishSettings(), run.write())
    report = read_report(Library(run.root), manifest)
    assert report.release is None
    assert not run.path("models").exists()
    assert "within noise: p = 0.400 is not below 0.05" in report.gate.sentence
    assert "within noise: p = 0.400 is not below 0.05" in read_page(Library(run.root), manifest)
    assert "within noise" in summarise(Library(run.root), manifest)
    assert manifest.counts["promoted"] == 0


def test_a_second_call_does_nothing(run: Run) -> None:
    comparison = run.write()
    first = publish_best(Library(run.root), PublishSettings(name="tiny"), comparison)
    before = {path: path.stat().st_mtime_ns for path in Path(run.root).rglob("*") if path.is_file()}
    assert publish_best(Library(run.root), PublishSettings(name="tiny", run_name="again"), comparison) == first
    assert {path: path.stat().st_mtime_ns for path in Path(run.root).rglob("*") if path.is_file()} == before


def test_a_model_that_was_removed_is_promoted_again(run: Run) -> None:
    comparison = run.write()
    settings = PublishSettings(name="tiny", version="1")
    publish_best(Library(run.root), settings, comparison)
    run.path("models/tiny/1", MANIFEST).unlink()
    publish_best(Library(run.root), settings, comparison)
    assert Library(run.root).load("models/tiny/1").parents["model"].digest


def test_a_version_never_changes(run: Run) -> None:
    comparison = run.write()
    publish_best(Library(run.root), PublishSettings(name="tiny", version="1"), comparison)
    publish_best(Library(run.root), PublishSettings(name="tiny", version="1", title="the same model again"), comparison)
    there = run.path("models/tiny/1", MANIFEST)
    other = Library(run.root).load("models/tiny/1").model_dump(mode="json")
    other["parents"]["model"]["digest"] = "0" * 64
    there.write_text(json.dumps(other))
    with pytest.raises(ExistsError, match="models/tiny/1 holds another model") as caught:
        publish_best(Library(run.root), PublishSettings(name="tiny", version="1", title="another model"), comparison)
    assert "publish.version" in caught.value.remedy


def test_a_damaged_model_is_not_promoted(run: Run) -> None:
    trained = run.model()
    comparison = run.compare(trained)
    run.path(trained.address, "model/model.safetensors").write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(DamagedError, match=r"model/model\.safetensors is damaged"):
        publish_best(Library(run.root), PublishSettings(name="tiny", version="1"), comparison)
    assert not run.path("models/tiny/1", "model.safetensors").exists()
    assert not run.path("models/tiny/1", MANIFEST).exists()


def test_a_damaged_parent_is_named(run: Run) -> None:
    trained = run.model()
    comparison = run.compare(trained)
    run.path(trained.parents["dataset"].address, MANIFEST).write_text("{")
    with pytest.raises(DamagedError, match=rf"{trained.parents['dataset'].address}/manifest\.json is damaged"):
        publish_best(Library(run.root), PublishSettings(), comparison)
    assert not run.path("models").exists()


def test_a_parent_that_is_no_longer_what_it_was_is_named(run: Run) -> None:
    trained = run.model()
    comparison = run.compare(trained)
    changed = trained.model_copy(update={"shards": trained.shards[1:]})
    run.path(trained.address, MANIFEST).write_text(changed.model_dump_json())
    with pytest.raises(DamagedError, match=f"{trained.address} is not what evaluate/.* was made from"):
        publish_best(Library(run.root), PublishSettings(), comparison)


def test_a_missing_evaluation_is_named(run: Run) -> None:
    comparison = run.write()
    run.path(comparison.parents["sft"].address, MANIFEST).unlink()
    with pytest.raises(NotFoundError, match=comparison.parents["sft"].address):
        publish_best(Library(run.root), PublishSettings(), comparison)


def test_pickled_weights_are_not_published(run: Run) -> None:
    with pytest.raises(ModelError, match="lacks safetensors weights"):
        publish_best(Library(run.root), PublishSettings(), run.compare(run.model(weights="pytorch_model.bin")))


def test_a_gate_on_a_benchmark_that_was_not_run_is_refused(run: Run) -> None:
    with pytest.raises(SettingsError, match="'gsm8k', which was not run"):
        publish_best(Library(run.root), PublishSettings(gate=Gate(benchmark="gsm8k")), run.write())


def test_another_output_than_a_comparison_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match="holds instruction/1"):
        publish_best(Library(run.root), PublishSettings(), run.dataset())


def test_planted_truth_makes_the_report_another_output(run: Run, tmp_path: Path) -> None:
    truth, comparison = tmp_path / "planted.jsonl", run.write()
    truth.write_text('{"source": "a.jsonl", "line": 2, "kind": "malformed"}\n')
    without = publish_best(Library(run.root), PublishSettings(), comparison)
    manifest = publish_best(Library(run.root), PublishSettings(planted=str(truth)), comparison)
    assert manifest.address != without.address
    assert read_report(Library(run.root), without).planted is None
    assert manifest.counts["recall_malformed"] == manifest.counts["precision_malformed"] == 1.0


def test_the_report_shows_variants_in_the_requested_order() -> None:
    variants = [Variant(name=name, reference="r", digest="d", scores=()) for name in ("base", "half", "kto", "sft")]
    table = ordered(ComparisonTable(base="base", variants=tuple(variants)), ["base", "sft", "kto"])
    assert [variant.name for variant in table.variants] == ["base", "sft", "kto", "half"]


def test_what_a_run_lacks_is_null(run: Run) -> None:
    report = read_report(Library(run.root), publish_best(Library(run.root), PublishSettings(), run.write()))
    assert report.data.labels_before is None
    assert report.data.drops is None
    assert report.data.rejected == {"no-json": 1}
    assert [(curve.task, len(curve.points)) for curve in report.losses] == [("train sft", 2)]
    assert {step.task for step in report.steps} >= {"collect", "train sft", "evaluate base", "evaluate sft", "compare"}


def test_what_was_not_read_is_shown_by_source(run: Run) -> None:
    left = {"ignored_fields": {"context": 3, "id": 1200, "<b>": 2}, "unread": {"test.jsonl": "split test"}}
    whole = {"name": "whole", "ignored_fields": {}, "unread": {}}
    run.collected = {"sources": [{"name": "chats", **left}, whole]}
    manifest = publish_best(Library(run.root), PublishSettings(), run.write())
    data = read_report(Library(run.root), manifest).data
    assert {name: found.model_dump() for name, found in data.not_read.items()} == {
        "chats": {"fields": left["ignored_fields"], "files": left["unread"]}
    }
    page = read_page(Library(run.root), manifest)
    assert "id 1,200, context 3, &lt;b&gt; 2" in page and "test.jsonl (split test)" in page


def test_names_cannot_break_the_page(run: Run) -> None:
    settings = PublishSettings(title="<script>alert('x')</script>", run_name='"><img src=x>')
    page = read_page(Library(run.root), publish_best(Library(run.root), settings, run.write()))
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert "<img" not in page


def test_the_promoted_model_is_a_model_for_the_next_run(run: Run) -> None:
    publish_best(Library(run.root), PublishSettings(name="tiny", version="1"), run.write())
    reference = f"{run.root}/models/tiny/1"
    assert (local_model(reference) / "model.safetensors").read_bytes() == WEIGHTS
    assert as_parent(reference).digest == Library(run.root).load("models/tiny/1").digest


@mock_aws
def test_everything_works_on_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bucket")
    run = Run(tmp_path)
    run.root = "s3://bucket/run"
    manifest = publish_best(Library(run.root), PublishSettings(name="tiny", version="1"), run.write())
    assert "sft is promoted" in read_page(Library(run.root), manifest)
    folder = local_model("s3://bucket/run/models/tiny/1")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "config.json").exists()


class Metrics:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.logged: dict[str, float] = {}

    def log_metric(self, metric: str, value: float) -> None:
        self.logged[metric] = value


def artifact(folder: Path, name: str) -> Any:
    return SimpleNamespace(path=str(folder / "artifacts" / name), uri="", metadata={})


def test_the_component_hands_over_the_page_the_metrics_and_the_summary(run: Run, tmp_path: Path) -> None:
    comparison, release, report = (artifact(tmp_path, name) for name in ("comparison", "release", "report"))
    summary, metrics = artifact(tmp_path, "summary"), Metrics(tmp_path / "metrics")
    Path(comparison.path).parent.mkdir()
    Path(comparison.path).write_text(run.write().model_dump_json())
    settings = PublishSettings(name="tiny").model_dump(mode="json")
    uri = publish.python_func(run.root, settings, comparison, release, report, metrics, summary)
    assert uri == f"{run.root}/{release.metadata['address']}"
    assert Path(report.path).read_text().lstrip().startswith("<!DOCTYPE html>")
    assert "**sft is promoted: 59.0 % on quiz" in Path(summary.path).read_text()
    assert metrics.logged["promoted"] == 1.0
    assert metrics.logged["winner_score"] == 0.59


def test_wrong_settings_end_the_component_with_code_2(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        publish.python_func(run.root, {"gate": {"alhpa": 0.1}}, *[artifact(tmp_path, "x")] * 5)
    assert caught.value.code == 2
