"""The contract of probe: its inputs and outputs, what it asks again and what not, and its errors."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.launch.hand_back import hand_over
from components.models.generators.registry import BACKENDS
from components.probe.component import probe
from components.probe.draw_here import draw_here
from components.probe.probe import probe_problems
from components.probe.settings import ProbeSettings
from components.probe.step import PROBED
from components.probe.summarise import summarise
from components.rewards.checks import code_check
from components.shared.errors import EmptyDataError, GenerationError, InputError, ModelError, SandboxError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rollout_rows import Probed
from components.shared.rows import Check, Dropped, Instruction, Labelled
from components.shared.settings import Settings
from components.shared.step import Product
from tests.edit_model import edit_config
from tests.scripted_backend import ASKED, ScriptedSettings
from tests.stand_in_outputs import kept_keys
from tests.tiny_model import save_tiny_model

YES = Check(kind="exact", answer="yes")
SCRIPTED = {"backend": "scripted", "model": "s"}
SHORT = {
    "sampling": {"temperature": 1.0, "max_tokens": 6},
    "rule": {"round": 2, "tries": 2, "zero_tries": 4},
    "pass_at": [1, 2],
}
"""For a local model; a random one answers no problem, so 4 rollouts of each are drawn."""


class Made(Settings):
    """Stands for the settings of whatever made the problems."""


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(BACKENDS, "scripted", ScriptedSettings)
    ASKED.clear()
    yield
    ASKED.clear()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=128))


def row(name: str, text: str, check: Check | None = YES) -> Labelled:
    facts = {"type": "t", "primary": "p", "secondary": "s"}
    return Labelled(id=name, source="made", line=1, instruction=text, check=check, **facts)


def written(root: Path, rows: list[Any]) -> Manifest:
    output = Output(Library(str(root)), Product("curate", len(rows), "labelled/1"), Made(), {})
    if rows:
        output.write_rows("rows/00000", rows)
    return output.finish()


def probed(root: Path, rows: list[Labelled], **changed: Any) -> Manifest:
    settings = ProbeSettings.model_validate({"generator": SCRIPTED, **changed})
    return probe_problems(Library(str(root)), settings, written(root, rows), "", draw_here)


def rows_of(root: Path, manifest: Manifest) -> dict[str, Probed]:
    return {row.id: row for row in Library(str(root)).read_rows(manifest, Probed)}


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_the_component_hands_over_the_address_and_a_second_call_finds_it(tmp_path: Path, model: str) -> None:
    root, rows = tmp_path / "store", [row(f"r{number}", f"say {number}") for number in range(3)]
    # KFP passes integers as doubles.
    settings = {
        "sampling": {"temperature": 1.0, "max_tokens": 6.0},
        "rule": {"round": 2.0, "tries": 2.0, "zero_tries": 4.0},
        "pass_at": [1.0, 2.0],
        "rows_per_shard": 2.0,
        "actors": 1.0,
    }
    (tmp_path / "in.json").write_text(written(root, rows).model_dump_json())
    logged: dict[str, float] = {}
    metrics = SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__)

    def call(name: str) -> tuple[str, Any]:
        made, summary = artifact(tmp_path / name / "manifest"), artifact(tmp_path / name / "summary.md")
        uri = probe.python_func(
            root=str(root),
            task="probe-round-1",
            settings=settings,
            problems=artifact(tmp_path / "in.json"),
            model=model,
            probed=made,
            metrics=metrics,
            summary=summary,
        )
        assert "3 problems" in Path(summary.path).read_text()
        return uri, made

    uri, made = call("first")
    manifest = parse_manifest(Path(made.path).read_bytes(), where="artifact")
    assert uri == f"{root}/{manifest.address}" and manifest.content == "probe/1"
    assert set(manifest.parents) == {"problems", "model"}
    # A random model answers no problem: all are drawn to the end.
    assert (logged["problems"], logged["hard_problems"], logged["tries"], logged["pass_at_2"]) == (3, 3, 12, 0)
    assert {one.tries for one in rows_of(root, manifest).values()} == {4}
    assert call("second")[0] == uri

    # Without Ray: the same rows, at the same address of another store.
    other = tmp_path / "other"
    again = probe_problems(
        Library(str(other)), ProbeSettings.model_validate(settings), written(other, rows), model, draw_here
    )
    assert (again.address, again.digest) == (manifest.address, manifest.digest)


def test_rows_have_tries_successes_lengths_and_an_interval(tmp_path: Path) -> None:
    rows = [row("never", "solved 0"), row("some", "solved 0.5"), row("always", "solved 1")]
    manifest = probed(tmp_path, rows)
    found = rows_of(tmp_path, manifest)
    assert (found["never"].tries, found["never"].successes, found["never"].low) == (16, 0, 0.0)
    assert (found["always"].tries, found["always"].successes, found["always"].high) == (8, 8, 1.0)
    assert 0 < found["some"].successes < found["some"].tries and found["some"].decided
    for one in found.values():
        assert len(one.rollouts) == one.tries == len(one.lengths)
        assert sum(rollout.passed is True for rollout in one.rollouts) == one.successes
        assert one.low <= one.pass_rate <= one.high
    assert set(found["always"].lengths) == {3} and set(found["never"].lengths) == {7}
    assert (manifest.counts["hard_problems"], manifest.counts["mixed_problems"]) == (1, 1)
    assert manifest.counts["pass_at_1"] < manifest.counts["pass_at_8"] == pytest.approx(2 / 3)
    report = json.loads((tmp_path / manifest.address / "report.json").read_bytes())
    assert report["rates"]["0"] == report["rates"]["100 %"] == 1 and report["draws_of_full"] < 1
    assert "pass@8 - pass@1: what RL can close" in summarise(Library(str(tmp_path)), manifest)


def test_a_later_probe_asks_only_what_changed(tmp_path: Path) -> None:
    first = probed(tmp_path, [row("a", "solved 0.5: a"), row("b", "solved 1: b")])
    asked = set(ASKED)
    ASKED.clear()
    # Another set with other names and checks: no rollout of a known conversation is drawn again.
    more = [row("A", "solved 0.5: a", Check(kind="exact", answer="no")), row("b", "solved 1: b"), row("c", "solved 1")]
    second = probed(tmp_path, more)
    assert second.address != first.address and len(ASKED) == 8 and not asked & set(ASKED)
    turned = rows_of(tmp_path, second)["A"]
    before = rows_of(tmp_path, first)["a"]
    assert [one.text for one in turned.rollouts][:4] == [one.text for one in before.rollouts][:4]
    assert [one.passed for one in turned.rollouts][:4] == [not one.passed for one in before.rollouts][:4]
    ASKED.clear()
    probed(tmp_path, more, rule={"tries": 4, "zero_tries": 16})
    assert not ASKED, "another rule uses the same rollouts"
    probed(tmp_path, more, sampling={"temperature": 0.7})
    assert ASKED, "another sampling is another policy"


def test_another_model_and_another_chat_template_are_other_policies(tmp_path: Path, model: str) -> None:
    root, settings = tmp_path / "store", ProbeSettings.model_validate(SHORT)
    problems = written(root, [row(f"r{number}", f"say {number}") for number in range(3)])
    renamed, other = tmp_path / "renamed", save_tiny_model(tmp_path / "other", seed=1, max_position_embeddings=128)
    shutil.copytree(model, renamed)
    for expected, name in ((12, model), (12, str(renamed)), (24, str(other))):
        probe_problems(Library(str(root)), settings, problems, name, draw_here)
        assert sum(kept_keys(root, "rollouts").values()) == expected, "equal files elsewhere are the same model"
    template = other / "chat_template.jinja"
    template.write_text(template.read_text() + "{#- another one -#}")
    probe_problems(Library(str(root)), settings, problems, str(other), draw_here)
    assert sum(kept_keys(root, "rollouts").values()) == 36


def test_rollouts_have_a_manifest_of_their_own_and_are_read_without_it(tmp_path: Path) -> None:
    rows = [row("a", "solved 0.5: a"), row("b", "solved 1: b")]
    made = probed(tmp_path, rows)
    (path,) = tmp_path.glob("rollouts/*/manifest.json")
    kept = parse_manifest(path.read_bytes(), where="rollouts")
    assert kept.parents == {"model": made.parents["model"]} and kept.counts == {"rollouts": len(ASKED)}
    assert kept.settings["sampling"] == made.settings["sampling"]
    path.unlink()
    ASKED.clear()
    probed(tmp_path, rows, rule={"tries": 4, "zero_tries": 16})
    assert not ASKED, "rollouts of a store without the manifest are read"
    assert parse_manifest(path.read_bytes(), where="rollouts").digest == kept.digest


def test_problems_with_one_conversation_share_their_rollouts(tmp_path: Path) -> None:
    rows = [row("a", "solved 1"), row("b", "solved 1", Check(kind="exact", answer="no"))]
    found = rows_of(tmp_path, probed(tmp_path, rows))
    assert (found["a"].successes, found["b"].successes) == (8, 0)
    assert len(ASKED) == len(set(ASKED)) == 16


def test_an_interrupted_probe_draws_nothing_again_that_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.models.rollouts.draw_rollouts.PART_ROLLOUTS", 4)
    rows = [row(f"r{number}", f"solved 0.3: {number}") for number in range(40)]
    with pytest.raises(KeyboardInterrupt):
        probed(tmp_path, rows, rows_per_shard=16, generator={**SCRIPTED, "dies_after": 101})
    manifest = probed(tmp_path, rows, rows_per_shard=16)
    assert len(ASKED) == len(set(ASKED)) == manifest.counts["rollouts"]
    whole = probed(tmp_path / "elsewhere", rows, rows_per_shard=16)
    assert whole.digest == manifest.digest


def test_a_model_that_says_nothing_or_only_thinks_is_wrong(tmp_path: Path) -> None:
    found = rows_of(tmp_path, probed(tmp_path, [row("thinks", "thinks"), row("empty", "empty")]))
    assert [(one.tries, one.successes) for one in found.values()] == [(16, 0)] * 2
    assert found["thinks"].truncated == 16 and found["empty"].truncated == 0


def test_a_check_that_fails_gives_no_verdict_and_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, runs = code_check.run_python, []

    def failing(source: str, **options: Any) -> Any:
        runs.append(source)
        if source and len(runs) in {3, 4}:
            raise SandboxError("no more processes")
        return real("raise SystemExit" if source else "", **options)

    monkeypatch.setattr(code_check, "run_python", failing)
    check = Check(kind="code", tests="def check(f):\n    pass\n", entry_point="f")
    manifest = probed(tmp_path, [row("code", "solved 1", check)], check_threads=1)
    (found,) = rows_of(tmp_path, manifest).values()
    assert (found.tries, found.successes, found.no_verdict, len(found.rollouts)) == (16, 0, 2, 18)
    assert [one.passed for one in found.rollouts].count(None) == 2 and found.decided
    assert "2 rollouts could not be checked" in summarise(Library(str(tmp_path)), manifest)


def test_checks_that_always_fail_are_an_error_and_the_next_run_checks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, real = Check(kind="code", tests="def check(f):\n    pass\n", entry_point="f"), code_check.run_python

    def failing(source: str, **options: Any) -> Any:
        if source:
            raise SandboxError("no more processes")
        return real(source, **options)

    monkeypatch.setattr(code_check, "run_python", failing)
    with pytest.raises(InputError, match="could not be checked") as caught:
        probed(tmp_path, [row("code", "solved 1", check)])
    assert "rollouts are kept" in caught.value.remedy
    asked = len(ASKED)
    monkeypatch.setattr(code_check, "run_python", lambda source, **options: real("", **options))
    assert probed(tmp_path, [row("code", "solved 1", check)]).counts["easy_problems"] == 1
    assert len(ASKED) == asked, "8 rollouts were drawn before"


def test_without_a_sandbox_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(source: str, **options: Any) -> Any:
        raise SandboxError("no seccomp")

    monkeypatch.setattr(code_check, "run_python", missing)
    with pytest.raises(SandboxError, match="no seccomp"):
        probed(tmp_path, [row("code", "solved 1", Check(kind="code", tests="x", entry_point="f"))])
    assert not ASKED


def test_failed_rollouts_are_never_wrong(tmp_path: Path) -> None:
    rows = [row("fails", "fails"), *(row(f"r{number}", f"solved 1: {number}") for number in range(30))]
    with pytest.raises(GenerationError, match=r"of \d+ rollouts failed; the first: HTTP 500"):
        probed(tmp_path, rows, failed_share=0.0)
    asked = len(ASKED)
    manifest = probed(tmp_path, rows, failed_share=0.05)
    found = rows_of(tmp_path, manifest)["fails"]
    assert (found.tries, found.failed, found.decided) == (0, 8, False)
    assert len(ASKED) == asked + 8, "only what failed is asked again"
    assert (manifest.counts["undecided_problems"], manifest.counts["pass_at_1"]) == (1, 1.0)


def test_refused_conversations_are_dropped_and_counted(tmp_path: Path) -> None:
    manifest = probed(tmp_path, [row("no", "refused"), row("yes", "solved 1")])
    (dropped,) = Library(str(tmp_path)).read_rows(manifest, Dropped, "dropped")
    assert (dropped.id, dropped.reason, dropped.evidence) == ("no", "template_refused", "no such role")
    assert (manifest.counts["problems"], manifest.counts["refused_problems"]) == (1, 1)
    with pytest.raises(EmptyDataError, match="refuses all 1 problems"):
        probed(tmp_path / "all", [row("no", "refused")])


def test_problems_without_a_check_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 problem of 2 came without a check, the first: 'free'") as caught:
        probed(tmp_path, [row("a", "solved 1"), row("free", "Write a poem.", None)])
    assert "collect these rows with a check" in caught.value.remedy and not ASKED
    with pytest.raises(InputError, match="check of kind 'oracle'"):
        probed(tmp_path / "unknown", [row("a", "solved 1", Check(kind="oracle"))])
    with pytest.raises(EmptyDataError, match="contains no problems"):
        probed(tmp_path / "none", [])
    with pytest.raises(InputError, match="is not a valid Labelled"):
        probed(tmp_path / "other", [Instruction(id="a", source="s", line=1, instruction="?")])  # type: ignore[list-item]


def test_where_and_how_fast_does_not_move_the_address_but_what_is_asked_does(tmp_path: Path) -> None:
    parents = {"problems": written(tmp_path, [row("a", "b")]), "model": Parent(address="m", digest="sha256:0")}

    def address(**changes: Any) -> str:
        made = ProbeSettings.model_validate({"generator": SCRIPTED, **changes})
        return Output(Library(str(tmp_path)), PROBED, made, parents).address

    plain = address()
    assert address(actors=7, failed_share=0.5, check_threads=3, cpus_per_actor=2) == plain
    moved = [{"sampling": {"temperature": 0.5}}, {"system_prompt": "Think."}, {"rule": {"confidence": 1}}]
    assert len({plain, *(address(**changes) for changes in moved)}) == 4


def test_a_model_that_is_not_complete_starts_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = edit_config(save_tiny_model(tmp_path / "broken"), num_hidden_layers=3)
    monkeypatch.setattr(hand_over, "run_job", lambda job: pytest.fail("a job was started"))
    library, problems = Library(str(tmp_path / "store")), written(tmp_path / "store", [row("a", "b")])
    with pytest.raises(ModelError, match=r"no tensors of model\.layers\.2"):
        probe_problems(library, ProbeSettings(), problems, str(broken))
    with pytest.raises(InputError, match="no model to probe"):
        probe_problems(library, ProbeSettings(), problems, "")


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"sampling": {"temperature": 0}}, "greedy rollouts would be equal"),
        ({"pass_at": [32]}, "rule.zero_tries 16"),
        ({"rule": {"tries": 5}}, "multiple of round"),
        ({"tries": 8}, "tries"),
    ],
)
def test_wrong_settings_end_with_exit_code_2_and_no_traceback(
    tmp_path: Path, wrong: dict[str, Any], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(written(tmp_path / "store", [row("a", "b")]).model_dump_json())
    none = artifact(tmp_path / "none")
    with pytest.raises(SystemExit) as caught:
        probe.python_func(
            root=str(tmp_path / "store"),
            task="probe",
            settings=wrong,
            problems=artifact(tmp_path / "in.json"),
            model="",
            probed=none,
            metrics=SimpleNamespace(log_metric=lambda *pair: None),
            summary=none,
        )
    said = capsys.readouterr().err
    assert caught.value.code == 2 and word in said and "Traceback" not in said
