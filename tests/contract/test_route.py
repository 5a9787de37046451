"""The contract of route: its inputs and outputs, and its errors."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.route.component import route
from components.route.route import route_problems
from components.route.settings import RouteSettings
from components.route.summarise import summarise
from components.shared.errors import EmptyDataError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.rollout_rows import Probed, Rollout, Routed
from components.shared.rows import Check, Dropped, Labelled
from components.shared.settings import Settings
from components.shared.step import Product

PLAIN_RULE = {"hard_at_most": 0.0, "easy_at_least": 1.0}


class ProbedBy(Settings):
    """The part of a probe's settings that route reads."""

    rule: dict[str, float] = PLAIN_RULE


def problem(number: int, tries: int, successes: int, **changed: Any) -> Probed:
    return Probed(
        id=f"r{number}",
        source="made",
        line=number,
        instruction=f"What is {number}?",
        check=Check(kind="exact", answer=str(number)),
        **{"type": "t", "primary": "p", "secondary": "s"},
        tries=tries,
        successes=successes,
        lengths=(10,) * tries,
        truncated=0,
        low=0.0,
        high=1.0,
        **{"decided": True, **changed},
        rollouts=tuple(Rollout(text="?", passed=n < successes) for n in range(tries)),
    )


def problems() -> list[Probed]:
    """10 that are never solved, 20 mixed ones, 30 that are always solved, and one that could not be checked."""
    counts = [(16, 0)] * 10 + [(4, 1), (8, 7)] * 10 + [(8, 8)] * 30
    made = [problem(number, *one) for number, one in enumerate(counts)]
    return [*made, problem(60, 2, 0, decided=False, no_verdict=5)]


def stored(root: Path, rows: list[Any], **rule: float) -> Manifest:
    output = Output(Library(str(root)), Product("probe", 1, Probed.content), ProbedBy(rule={**PLAIN_RULE, **rule}), {})
    if rows:
        output.write_rows("rows/00000", rows)
    return output.finish()


def routed(root: Path, rows: list[Any], **settings: Any) -> Manifest:
    return route_problems(Library(str(root)), RouteSettings.model_validate(settings), stored(root, rows))


def ids(root: Path, manifest: Manifest, part: str) -> list[str]:
    kind: Any = Dropped if part == "dropped" else Routed
    return [row.id for row in Library(str(root)).read_rows(manifest, kind, part)]


def artifact(path: Path) -> SimpleNamespace:
    return SimpleNamespace(path=str(path), uri=str(path), metadata={})


def test_the_component_hands_over_parts_metrics_and_a_summary(tmp_path: Path) -> None:
    probed = artifact(tmp_path / "probed")
    Path(probed.path).write_text(stored(tmp_path, problems()).model_dump_json())
    made, summary, logged = artifact(tmp_path / "out" / "routed"), artifact(tmp_path / "out" / "summary"), {}
    metrics = SimpleNamespace(path=str(tmp_path / "metrics"), log_metric=logged.__setitem__)
    settings = {"by": {"policy": "paper", "easy_share": 0.0}, "seed": 0.0}
    uri = route.python_func(
        str(tmp_path), "route-round-1", settings, probed=probed, routed=made, metrics=metrics, summary=summary
    )
    manifest = Library(str(tmp_path)).load(made.metadata["address"])
    assert uri == f"{tmp_path}/{manifest.address}" and manifest.content == "routed/1"
    assert (logged["problems"], logged["sft_rows"], logged["rl_rows"], logged["dropped_rows"]) == (61, 10, 20, 31)
    assert (logged["dropped_easy"], logged["dropped_no_verdict"], logged["dropped_hard"]) == (30, 1, 0)
    text = Path(summary.path).read_text()
    assert "10 sft, 20 rl, 31 dropped" in text and "| hard | 10 | 10 | 0 | 0 | 10 |" in text
    assert "too few rollouts could be checked" in text

    assert ids(tmp_path, manifest, "sft") == [f"r{number}" for number in range(10)]
    assert ids(tmp_path, manifest, "rl") == [f"r{number}" for number in range(10, 30)]
    rows = list(Library(str(tmp_path)).read_rows(manifest, Routed, "rl"))
    assert (rows[0].tries, rows[0].successes, rows[0].pool, rows[0].check) == (4, 1, "mixed", problems()[10].check)
    assert set(Labelled.model_fields) <= set(Routed.model_fields)
    dropped = list(Library(str(tmp_path)).read_rows(manifest, Dropped, "dropped"))
    assert (dropped[0].reason, dropped[-1].reason) == ("easy", "no-verdict")
    assert "8 of 8 tries passed" in dropped[0].evidence
    report = json.loads((tmp_path / manifest.address / "report.json").read_bytes())
    assert report["rates"]["rl"] == {"0": 0, "0-25 %": 10, "25-50 %": 0, "50-75 %": 0, "75-100 %": 10, "100 %": 0}


def test_routing_is_the_same_every_time_and_by_its_seed(tmp_path: Path) -> None:
    pools = {"policy": "pools", "easy_share": 0.5}
    first, again = routed(tmp_path / "a", problems(), by=pools), routed(tmp_path / "b", problems(), by=pools)
    assert first.digest == again.digest
    assert routed(tmp_path / "c", problems(), by=pools, seed=1).digest != first.digest


def test_some_easy_problems_are_kept_as_a_brake_on_length(tmp_path: Path) -> None:
    manifest = routed(tmp_path, problems(), by={"easy_share": 0.5})
    kept = set(ids(tmp_path, manifest, "rl")) - {f"r{number}" for number in range(10, 30)}
    assert 5 <= len(kept) <= 25 and manifest.counts["rl_rows"] == 20 + len(kept)
    assert manifest.counts["dropped_easy"] == 30 - len(kept)


def test_hard_problems_may_go_both_ways(tmp_path: Path) -> None:
    manifest = routed(tmp_path, problems(), by={"policy": "relift"})
    assert set(ids(tmp_path, manifest, "sft")) < set(ids(tmp_path, manifest, "rl"))
    assert (manifest.counts["sft_rows"], manifest.counts["rl_rows"], manifest.counts["dropped_rows"]) == (10, 60, 1)


def test_thresholds_other_than_the_probes_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routed(tmp_path / "differing", problems(), by={"policy": "pools"})
    assert "the probe stopped early for thresholds 0 and 1, the policy has 0.2 and 0.8" in capsys.readouterr().err
    probed = stored(tmp_path / "same", problems(), hard_at_most=0.2, easy_at_least=0.8)
    route_problems(Library(str(tmp_path / "same")), RouteSettings.model_validate({"by": {"policy": "pools"}}), probed)
    assert "stopped early" not in capsys.readouterr().err


def test_nothing_to_route_and_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match="contains no problems"):
        routed(tmp_path / "none", [])
    with pytest.raises(EmptyDataError, match="all 5 problems are dropped: easy 5") as caught:
        routed(tmp_path / "easy", [problem(number, 8, 8) for number in range(5)], by={"easy_share": 0})
    assert "easy_share" in caught.value.remedy
    solved = [problem(number, 8, 8) for number in range(5)]
    nothing = routed(tmp_path / "easy", solved, by={"easy_share": 0}, when_empty="finish")
    assert (nothing.counts["sft_rows"], nothing.counts["rl_rows"], nothing.counts["dropped_easy"]) == (0, 0, 5)
    assert "nothing is left to learn" in summarise(Library(str(tmp_path / "easy")), nothing)
    with pytest.raises(EmptyDataError, match="all 5 problems are dropped: easy 5"):
        routed(tmp_path / "easy", solved, by={"easy_share": 0})
    other = Labelled(id="a", source="s", line=1, instruction="?", type="t", primary="p", secondary="s")
    with pytest.raises(InputError, match="is not a valid Probed"):
        routed(tmp_path / "other", [other])
