"""The part of the report about a curriculum: its numbers, its sentence, and its examples."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.publish.publish import publish_best, read_page, read_report, summarise
from components.publish.report_schema import CurriculumFacts, Report
from components.publish.settings import Gate, PublishSettings
from components.shared.rollout_rows import Bridged, Critique, Probed
from tests import stand_in_curriculum
from tests.page_in_browser import PageTables
from tests.stand_in_curriculum import SCORES, StandInCurriculum

SETTINGS = PublishSettings(name="demo", title="Sums", order=tuple(SCORES)[1:], gate=Gate(benchmark="sums"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str]:
    """The report of two rounds and two baselines, and its page."""
    run = StandInCurriculum(str(tmp_path_factory.mktemp("run") / "store"))
    comparison = run.write()
    manifest = publish_best(run.library, SETTINGS, comparison, beside=[run.last_probe()])
    return read_report(run.library, manifest), read_page(run.library, manifest)


def facts_of(report: Report) -> CurriculumFacts:
    assert report.curriculum is not None
    return report.curriculum


def test_outputs_are_named_by_the_model_that_they_are_about(published: tuple[Report, str]) -> None:
    assert facts_of(published[0]).handed_on == (), "every training had rows"
    tasks = [step.task for step in published[0].steps]
    for name in (
        "probe base",
        "probe round-1-rl",
        "probe round-2-rl",
        "route base",
        "bridge base",
        "bridge round-1-rl",
        "critique",
    ):
        assert name in tasks
    assert len(tasks) == len(set(tasks))


def test_probes_and_routes_are_shown_round_by_round(published: tuple[Report, str]) -> None:
    facts = facts_of(published[0])
    first, second, last = facts.probes
    assert (first.model, first.after) == ("base", None)
    assert (second.model, second.after) == ("round-1-rl", "probe base")
    assert second.pools["hard"] < first.pools["hard"]
    assert (last.model, last.after) == ("round-2-rl", "probe round-1-rl")
    assert last.pools["hard"] < second.pools["hard"]
    for probe, route in zip((first, second), facts.routes, strict=True):
        assert sum(probe.rates.values()) == probe.problems == 120
        assert route.probe == probe.task
        assert {pool: parts["problems"] for pool, parts in route.pools.items()} == probe.pools
        assert route.pools["hard"]["sft"] == probe.pools["hard"]
        assert [one.k for one in probe.pass_at] == [1, 8]
    tables = PageTables(published[1]).tables
    header, *rows = tables["probes-table"]
    assert header == ["Model", "Problems", "Hard", "Mixed", "Easy", "pass@1", "pass@8"]
    assert rows[0][:3] == ["base", "120", str(first.pools["hard"])]
    assert rows[0][-1].startswith(f"{100 * first.pass_at[1].value:.1f} ± ")
    assert len(tables["routes-table"]) == 1 + 2 * 3
    assert "Pass rates of base and, after training, of round-1-rl" in published[1]
    assert "Pass rates of round-1-rl and, after training, of round-2-rl" in published[1]


def test_the_rows_of_every_training_on_texts_are_counted_by_kind(published: tuple[Report, str]) -> None:
    taught = {one.task: one.rows for one in facts_of(published[0]).taught}
    assert list(taught) == ["train round-1-sft", "train round-2-sft", "train mixed-sft", "train sft-grpo-sft"]
    assert taught["train round-1-sft"] == taught["train mixed-sft"] and taught["train round-1-sft"]["replay"] == 2
    assert taught["train round-2-sft"] == {"trace": 7, "replay": 2, "diagnosis": 6, "repair": 5}
    header, *rows = PageTables(published[1]).tables["taught-table"]
    assert header == ["Training", "Solutions", "Own answers", "Diagnoses", "Repairs", "All"]
    assert rows[1] == ["train round-2-sft", "7", "2", "6", "5", "20"]


def test_rewards_of_every_training_by_rl_are_drawn(published: tuple[Report, str]) -> None:
    facts = facts_of(published[0])
    assert [curve.task for curve in facts.rewards] == ["train round-1-rl", "train round-2-rl", "train sft-grpo"]
    for curve in facts.rewards:
        assert len(curve.steps) == 120
        assert list(curve.values) == [
            "reward", "useful_groups", "entropy", "response_tokens", "truncated_share", "clip_share",
        ]  # fmt: skip
    assert published[1].count("groups with different rewards from") == 3


def test_examples_can_be_read_and_are_the_same_every_time(published: tuple[Report, str]) -> None:
    facts = facts_of(published[0])
    kinds = [(example.kind, example.learnt) for example in facts.examples]
    assert kinds == [
        *[("trace", True)] * 2,
        *[("trace", False)] * 2,
        *[("diagnosis", True)] * 2,
        *[("repair", True)] * 2,
        ("diagnosis", False),
    ]
    trace = facts.examples[0]
    assert trace.failed is not None and trace.failed.endswith("The answer is 7.")
    assert trace.teacher.startswith("1. The sum is ")
    assert trace.note == "rewritten, chosen of 2 texts, 31 tokens, rank-surprisal ratio 4.25"
    assert facts.examples[2].note == "none of 1 text is learnt: no text; the first is shown: wrong"
    assert facts.examples[2].teacher.endswith("The answer is unclear.")
    assert facts.examples[4].teacher == "It gives no number.\n\nFirst wrong step: 1"
    assert facts.examples[-1].note == "of a wrong answer; no wrong step; not learnt: disagrees"
    for example in facts.examples:
        assert example.problem in published[1]


class SilentTeacher(StandInCurriculum):
    """Its teacher solves nothing and writes no readable diagnosis: the solutions that problems came with are learnt."""

    def _bridged(self, row: Probed, number: int) -> Bridged:
        made = super()._bridged(row, number)
        texts = tuple(text.model_copy(update={"origin": "reference"}) for text in made.texts)
        return made.model_copy(update={"texts": texts})

    def _critiques(self, row: Probed, number: int) -> Iterator[Critique]:
        first = next(iter(super()._critiques(row, number)))
        yield first.model_copy(update={"why": "", "step": None, "fate": "unreadable"})


def test_what_the_teacher_did_not_write_is_not_called_the_teachers(tmp_path: Path) -> None:
    run = SilentTeacher(str(tmp_path / "store"), problems=20)
    probed, routed = run.first_round()
    run.train("round-1-sft", "sft", run.critique(probed, run.bridge(routed, probed, "base")), "base", tokens=9_000)
    settings = SETTINGS.model_copy(update={"order": ()})
    manifest = publish_best(run.library, settings, run.compare("base", "round-1-sft"))
    examples, page = facts_of(read_report(run.library, manifest)).examples, read_page(run.library, manifest)
    learnt = next(example for example in examples if example.learnt)
    diagnosis = next(example for example in examples if example.kind == "diagnosis")
    assert learnt.is_reference and "<dt>The solution that the problem came with</dt>" in page
    assert diagnosis.note == "of a wrong answer; nothing that could be read; not learnt: unreadable"
    assert diagnosis.teacher == "nothing that could be read", "not a verdict"


def test_the_curriculum_is_compared_at_equal_compute(published: tuple[Report, str]) -> None:
    """The first stage of a baseline in two is none by itself."""
    facts = facts_of(published[0]).equal_compute
    assert facts is not None
    assert (facts.variant, facts.tokens) == ("round-2-rl", 40_000 + 180_000 + 30_000 + 135_000)
    assert [(each.variant, each.tokens) for each in facts.baselines] == [
        ("mixed-sft", 386_000),
        ("sft-grpo", 70_500 + 316_500),
    ]
    assert facts.sentence == (
        "Routing helped: on sums, round-2-rl has 66.0 % after 385k tokens of compute, the best baseline sft-grpo "
        "57.0 % after 387k: a difference of +9.0 points (95 % interval +3.0 to +14.9)."
    )
    assert facts.sentence in published[1]
    generated = {step.task: step.cost.tokens_out for step in published[0].steps}
    routed_by = generated["probe base"] + generated["probe round-1-rl"]
    assert facts.probe_tokens == routed_by > 0, "not of the last probe, from which nothing is learnt"
    assert f"generated {routed_by:,} tokens more, which are not counted" in " ".join(published[1].split())
    made_from = {variant.name: variant.made_from for variant in published[0].variants}
    assert made_from["mixed-sft"] == ("base",)


@pytest.mark.parametrize(
    ("best", "outcome"), [(0.64, "made no difference beyond chance"), (0.75, "did harm"), (0.5, "helped")]
)
def test_the_report_says_so_where_routing_does_not_help(
    best: float, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stand_in_curriculum.SCORES, "sft-grpo", best)
    run = StandInCurriculum(str(tmp_path / "store"), problems=20)
    facts = facts_of(read_report(run.library, publish_best(run.library, SETTINGS, run.write())))
    assert facts.equal_compute is not None
    assert facts.equal_compute.sentence.startswith(f"Routing {outcome}: on sums, round-2-rl has 66.0 %")


def test_a_run_of_one_round_shows_what_it_has(tmp_path: Path) -> None:
    """A probe, a route and GRPO: neither examples nor baselines."""
    run = StandInCurriculum(str(tmp_path / "store"), problems=20)
    _, routed = run.first_round()
    run.train("round-1-rl", "grpo", routed, "base", tokens=9_000)
    settings = SETTINGS.model_copy(update={"order": ()})
    manifest = publish_best(run.library, settings, run.compare("base", "round-1-rl"))
    facts, page = facts_of(read_report(run.library, manifest)), read_page(run.library, manifest)
    assert (len(facts.probes), len(facts.routes), len(facts.rewards)) == (1, 1, 1)
    assert (facts.examples, facts.equal_compute) == ((), None)
    assert "Pass rates of base" in page and 'id="examples"' not in page and 'id="equal-compute"' not in page
    assert "round-1-rl" in summarise(run.library, manifest)


def test_rounds_with_nothing_left_to_learn_are_named_with_the_model_that_they_handed_on(tmp_path: Path) -> None:
    run = StandInCurriculum(str(tmp_path / "store"), problems=20)
    _, routed = run.first_round()
    run.train("round-1-rl", "grpo", routed, "base", tokens=9_000)
    run.models |= {"round-1-sft": run.models["base"], "round-2-sft": run.models["round-1-rl"]}
    names = ("base", "round-1-sft", "round-1-rl", "round-2-sft")
    comparison = run.compare(*names)
    settings = SETTINGS.model_copy(update={"order": names[1:]})
    manifest = publish_best(run.library, settings, comparison)
    facts, page = facts_of(read_report(run.library, manifest)), read_page(run.library, manifest)
    assert [(one.variants, one.model) for one in facts.handed_on] == [
        (("round-1-sft",), "base"),
        (("round-2-sft",), "round-1-rl"),
    ]
    assert [probe.model for probe in facts.probes] == ["base"], "by its first name"
    assert "round-2-sft: nothing was left to learn, so the model of round-1-rl was handed on as it was." in page


def test_texts_of_bridge_and_critique_are_not_taken_for_a_selection(published: tuple[Report, str]) -> None:
    """Both have a report beside rows to learn, as a selection has."""
    assert published[0].data.chosen_origins is None


def test_ids_on_the_page_are_unique(published: tuple[Report, str]) -> None:
    ids = re.findall(r'\bid="([^"]+)"', published[1])
    assert len(ids) == len(set(ids))
