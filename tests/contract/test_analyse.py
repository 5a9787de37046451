"""The contract of analyse: what it makes of a study's evaluations, what it names as missing, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.analyse.analyse import analyse_study, found_evaluations, read_page, read_study
from components.analyse.component import analyse
from components.analyse.report.render import write_page
from components.analyse.settings import AnalyseSettings
from components.analyse.study_schema import ArmFacts, Study
from components.analyse.summarise import summarise
from components.shared.errors import DamagedError, InputError
from components.shared.outputs.manifest import Manifest, Parent, parse_manifest
from tests.stand_in_study import ARMS, BASE, StandInStudy

SKIPPED = (
    "dpo@6/3e-5/1/validation", "dpo@6/-/1/test", "sft@9-lora16/-/0/test", "sft@9-lora16/-/1/test",
    "sft@9-lora16/-/2/test",
)  # fmt: skip


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = str(path), {}
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> StandInStudy:
    """A study with two failed seeds and an arm without tests."""
    study = StandInStudy(str(tmp_path_factory.mktemp("study") / "store"))
    study.write(skip=SKIPPED)
    return study


@pytest.fixture(scope="module")
def made(written: StandInStudy) -> Manifest:
    return analyse_study(written.library, AnalyseSettings.model_validate(written.settings()), written.evaluations)


@pytest.fixture(scope="module")
def study(written: StandInStudy, made: Manifest) -> Study:
    return read_study(written.library, made)


def arm_of(study: Study, name: str) -> ArmFacts:
    return next(arm for arm in study.arms if arm.name == name)


def small(tmp_path: Path) -> StandInStudy:
    """A store with the base alone."""
    study = StandInStudy(str(tmp_path / "store"), questions=40)
    study.evaluate("base/-/-/test", BASE, 0.4, "test")
    return study


def analysed(study: StandInStudy, **settings: Any) -> Study:
    given = AnalyseSettings.model_validate(study.settings(**settings))
    return read_study(study.library, analyse_study(study.library, given, study.evaluations))


def test_component_hands_over_document_page_and_summary(tmp_path: Path, written: StandInStudy, study: Study) -> None:
    uris = {key: written.library.uri(manifest.address) for key, manifest in written.evaluations.items()}
    uris[SKIPPED[0]] = ""
    outputs = [Artifact(tmp_path / name) for name in ("study", "report", "metrics", "summary")]
    uri = analyse.python_func(written.root, written.settings(), uris, *outputs)
    artifact, page, metrics, summary = outputs
    manifest = parse_manifest(Path(artifact.path).read_bytes(), where="study")
    assert manifest.content == "study/1" and uri == f"{written.root}/{manifest.address}"
    assert {name: manifest.parents[name] for name in written.evaluations} == {
        name: one.parent for name, one in written.evaluations.items()
    }
    document = json.loads((Path(written.root) / manifest.address / "study.json").read_text())
    assert document["format"] == "study/1" and Study.model_validate(document) == study
    assert Path(page.path).read_text() == read_page(written.library, manifest)
    assert metrics.logged["arms"] == 7 and metrics.logged["arms_failed"] == 1 and metrics.logged["tests"] == 8
    assert metrics.logged["evaluations_missing"] == len(SKIPPED)
    said = Path(summary.path).read_text()
    assert all(sentence in said for sentence in study.sentences) and "| sft@9-lora16 |  | failed |" in said


def test_an_arm_is_judged_at_its_rate_against_base_and_best_single_stage(study: Study) -> None:
    assert study.best_single_stage == "sft@9"
    arm = arm_of(study, "sft@9-dpo@6")
    assert (arm.status, arm.rate, arm.missing) == ("complete", "3e-5", ())
    assert [point.chosen for point in arm.sweep] == [False, True, False]
    assert arm.score is not None and arm.score.mean == pytest.approx(0.70, abs=0.02)
    assert arm.score.seeds == (0, 1, 2) and arm.score.questions == 400 and arm.score.method == "two-way"
    for difference, other in ((arm.against_base, "base"), (arm.against_best, "sft@9")):
        assert difference is not None and difference.against == other
        assert difference.interval[0] < difference.mean < difference.interval[1]
        assert difference.corrected_p_value is not None and difference.p_value <= difference.corrected_p_value < 0.05
        assert difference.verdict == "better"
    assert arm.against_best is not None
    assert arm.against_best.mean == pytest.approx(arm.score.mean - (arm_of(study, "sft@9").score or arm.score).mean)
    assert arm_of(study, "sft@9").against_best is None


def test_the_family_is_every_arm_against_base_and_chains_against_the_best(study: Study) -> None:
    (family,) = study.families
    tested = ["sft@3", "sft@9", "sft@9-lora8", "dpo@6", "sft@3-dpo@6", "sft@9-dpo@6"]
    assert family.size == len(family.tests) == 8, "sft@9-lora16 failed"
    assert sorted(family.tests) == sorted(
        [*((name, "base") for name in tested), ("sft@3-dpo@6", "sft@9"), ("sft@9-dpo@6", "sft@9")]
    )
    shown = arm_of(study, "sft@3").against_best
    assert shown is not None and shown.family is None and shown.corrected_p_value is None


def test_families_are_corrected_apart(written: StandInStudy) -> None:
    settings = written.settings(tested_against=("best-single-stage",))
    for arm in settings["arms"]:
        arm["family"] = arm["name"] if len(arm["stages"]) > 1 else "single"
    study = analysed(written, **settings)
    assert [(family.name, family.size) for family in study.families] == [("sft@3-dpo@6", 1), ("sft@9-dpo@6", 1)]
    difference = arm_of(study, "sft@9-dpo@6").against_best
    assert difference is not None and difference.corrected_p_value == difference.p_value
    assert difference.smallest_in_family == difference.smallest


def test_what_is_missing_is_named(study: Study) -> None:
    assert set(study.missing) == set(SKIPPED)
    partial, failed = arm_of(study, "dpo@6"), arm_of(study, "sft@9-lora16")
    assert partial.status == "partial" and partial.score is not None and partial.score.seeds == (0, 2)
    assert failed.status == "failed" and failed.score is None and failed.against_base is None
    assert any(warning.startswith("dpo@6 is judged on 2 of 3 seeds: missing dpo@6/") for warning in study.warnings)
    assert any(warning.startswith("sft@9-lora16 failed: missing") for warning in study.warnings)


def test_an_output_that_is_not_complete_is_a_failed_run(written: StandInStudy) -> None:
    base = written.library.uri(written.evaluations["base/-/-/test"].address)
    uris = {"a/1e-3/0/validation": "", "b/1e-3/0/validation": f"{written.root}/evaluate/0123456789abcdef", "c": base}
    assert found_evaluations(written.library, uris) == {"c": written.evaluations["base/-/-/test"]}


def test_one_sentence_for_each_chain_says_whether_its_gain_exceeds_the_noise(study: Study) -> None:
    first, second = study.sentences
    assert first.startswith(
        "The study cannot tell sft@3-dpo@6 from sft@9, the best single-stage arm: the difference is"
    )
    power = (
        r"with 3 seeds, 400 questions it would show a difference of [\d.]+ points or more with a probability of 80 %\.$"
    )
    assert re.search(power, first)
    assert re.fullmatch(
        r"sft@9-dpo@6 exceeds sft@9, the best single-stage arm, by [\d.]+ points, which is more than the noise "
        r"\(95 % interval \+[\d.]+ to \+[\d.]+; p (< 0.001|= 0.0\d\d) after Holm's correction; 3 seeds, "
        r"400 questions\)\.",
        second,
    )


def test_untuned_rates_are_warned_about(written: StandInStudy) -> None:
    whole = StandInStudy(written.root + "-whole", questions=200)
    whole.write()
    warnings = analysed(whole).warnings
    assert any(
        re.match(r"sft@9-lora16 \(rank 16, at 1e-3\) is [\d.]+ points worse than sft@9-lora8", w) for w in warnings
    )
    edge = "sft@9-lora8 chose 3e-3, the largest learning rate tried: a better one may be outside the sweep"
    assert edge in warnings and not any(w.startswith("sft@9 chose") for w in warnings)


def test_compute_follows_the_lineage_to_the_base(study: Study) -> None:
    sft, lora, chain = (arm_of(study, name).compute for name in ("sft@9", "sft@9-lora8", "sft@9-dpo@6"))
    assert sft is not None and lora is not None and chain is not None
    assert (sft.stages, sft.steps, sft.tokens, sft.seconds) == (1, 270, 360_000, 36)
    assert sft.flops == 6 * 600_000 * 360_000 and sft.reference_tokens == 0
    assert lora.flops == (4 * 612_000 + 2 * 12_000) * 360_000 and lora.parameters_trained == 12_000
    # 6 epochs of 80,000 tokens, of which the reference scores one
    assert (chain.stages, chain.tokens, chain.reference_tokens) == (2, 840_000, 80_000)
    assert chain.flops == sft.flops + 6 * 600_000 * 480_000 + 2 * 600_000 * 80_000
    # 7 arms of 3 rates and 3 seeds, but sft@3 is a part of sft@9
    assert study.total.trainings == 6 * 9 - 1
    assert study.total.tokens < 9 * 7 * chain.tokens


def test_a_rate_that_diverged_is_named_and_its_arm_stays_complete(tmp_path: Path) -> None:
    """3e-3 has the best scores, but two seeds have diverged; of another arm, two of three rates have."""
    whole = StandInStudy(str(tmp_path / "store"), questions=60)
    whole.write()
    before = analysed(whole).total
    for seed in (0, 1, 2):
        del whole.evaluations[f"sft@9-lora8/-/{seed}/test"]
        del whole.evaluations[f"dpo@6/-/{seed}/test"]
        whole.evaluate(f"sft@9-lora8/-/{seed}/test", whole._models["sft@9-lora8", "1e-3", seed], 0.58, "test")
    lost = [whole.diverge(f"sft@9-lora8/3e-3/{seed}/validation") for seed in (1, 2)]
    for rate in ("3e-5", "1e-4"):
        whole.diverge(f"dpo@6/{rate}/0/validation")
    given = AnalyseSettings.model_validate(whole.settings())
    made = analyse_study(whole.library, given, whole.evaluations)
    study = read_study(whole.library, made)

    arm, failed = arm_of(study, "sft@9-lora8"), arm_of(study, "dpo@6")
    assert (arm.status, arm.rate, arm.missing) == ("complete", "1e-3", ())
    tried = {point.rate: point for point in arm.sweep}
    assert tried["3e-3"].diverged == (1, 2) and tried["3e-3"].mean is None and list(tried["3e-3"].by_seed) == [0]
    assert tried["1e-3"].chosen and tried["1e-3"].diverged == () and tried["1e-3"].mean is not None
    assert failed.status == "failed" and failed.missing == tuple(f"dpo@6/-/{seed}/test" for seed in (0, 1, 2))
    said = "sft@9-lora8 diverged at 1 learning rate: 3e-3 (seeds 1, 2); its rate was chosen among the other 2"
    assert said in study.warnings
    assert "dpo@6 diverged at 2 learning rates: 3e-5 (seed 0), 1e-4 (seed 0); none was chosen" in study.warnings
    assert made.counts["rates_diverged"] == 3 and made.counts["evaluations_missing"] == 3
    assert study.total.trainings == before.trainings and 0 < study.total.tokens < before.tokens, "they cost something"
    assert not any(warning.startswith("sft@9-lora8 chose") for warning in study.warnings), "the sweep went beyond it"
    assert lost[0].parent in made.parents.values()
    page = write_page(study)
    assert "<small>3e-3 diverged</small>" in page and "3e-3: diverged" in page


def test_a_model_whose_logits_are_not_finite_is_out_like_one_that_diverged(tmp_path: Path) -> None:
    """On validation its rate is out of the sweep; on test the arm has no score, whatever its other seeds have."""
    whole = StandInStudy(str(tmp_path / "store"), questions=60)
    whole.write()
    before = analysed(whole).total
    whole.overflow("sft@9-lora16/3e-3/1/validation")
    whole.overflow("sft@9-dpo@6/-/1/test")
    given = AnalyseSettings.model_validate(whole.settings())
    made = analyse_study(whole.library, given, whole.evaluations)
    study = read_study(whole.library, made)

    swept, tested = arm_of(study, "sft@9-lora16"), arm_of(study, "sft@9-dpo@6")
    assert [point.diverged for point in swept.sweep] == [(), (), (1,)] and swept.status == "complete"
    assert (tested.status, tested.diverged_on_test, tested.missing) == ("failed", (1,), ())
    assert tested.score is None and tested.against_base is None and tested.rate == "3e-5"
    said = "sft@9-dpo@6 has no score: at 3e-5 its models diverged on the part test (seed 1)"
    assert said in study.warnings and "sft@9-dpo@6 diverged at its chosen rate" in " ".join(study.sentences)
    assert made.counts["rates_diverged"] == 1 and made.counts["evaluations_missing"] == 0
    assert study.total == before, "its trainings are complete, and cost what they cost"
    assert "diverged on the part test: seed 1" in write_page(study)
    assert "| sft@9-dpo@6 |  | diverged |" in summarise(whole.library, made)


def test_forgetting_is_shown_and_not_tested(study: Study) -> None:
    arm = arm_of(study, "sft@9-dpo@6")
    (scores,), (difference,) = arm.forgetting, arm.forgetting_against_base
    assert scores.benchmark == difference.benchmark == "other" and difference.mean < 0
    assert difference.family is None and difference.corrected_p_value is None


def test_few_questions_have_beta_intervals(tmp_path: Path) -> None:
    assert analysed(small(tmp_path)).base.method == "beta"


def test_without_any_arm_the_table_names_all_as_failed(tmp_path: Path) -> None:
    study = analysed(small(tmp_path))
    assert {arm.status for arm in study.arms} == {"failed"} and study.families == ()
    assert study.best_single_stage is None and "base/-/-/validation" in study.missing
    assert study.sentences[0] == "sft@3-dpo@6 failed: no seed was evaluated on the test part, so the study cannot tell."
    assert "failed: sft@3/3e-4/0/validation" in write_page(study)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sft@3/1e-3/validation", "is not the key of an evaluation"),
        ("sft@3/1e-3/0/train", "is not the key of an evaluation"),
        ("sft@5/1e-3/0/validation", "is not an evaluation of this study"),
        ("sft@3/2e-3/0/validation", "is not an evaluation of this study"),
        ("sft@3/1e-3/7/validation", "is not an evaluation of this study"),
    ],
)
def test_a_key_that_the_study_does_not_have_is_refused(tmp_path: Path, key: str, message: str) -> None:
    study = small(tmp_path)
    study.evaluate(key, BASE, 0.4, "test")
    with pytest.raises(InputError, match=re.escape(key) + r".* " + message):
        analysed(study)


def test_other_questions_and_unknown_benchmarks_are_refused(tmp_path: Path) -> None:
    study = small(tmp_path)
    with pytest.raises(InputError, match="mmlu: not a benchmark") as caught:
        analysed(study, forgetting=("mmlu",))
    assert caught.value.allowed == ("demo", "other")
    study.evaluate("sft@3/-/0/test", BASE, 0.4, "validation")
    with pytest.raises(InputError, match="were asked other questions of demo"):
        analysed(study)
    del study.evaluations["base/-/-/test"]
    with pytest.raises(InputError, match="base/-/-/test is missing"):
        analysed(study)


def test_a_model_that_has_changed_is_refused(tmp_path: Path) -> None:
    study = small(tmp_path)
    model = Parent(address="train/0123456789abcdef", digest="0" * 64)
    study.evaluate("sft@3/1e-3/0/test", model, 0.5, "test")
    assert arm_of(analysed(study), "sft@3").compute is None, "the model is not in this store"
    changed = study.train(next(arm for arm in ARMS if arm.name == "sft@3"), "1e-3", 0)
    study.evaluate("sft@3/1e-3/0/test", Parent(address=changed.address, digest="1" * 64), 0.5, "test")
    with pytest.raises(DamagedError, match=r"train/.* has changed"):
        analysed(study)
