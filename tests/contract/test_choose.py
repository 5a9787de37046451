"""The contract of choose: which rate wins, whose models it hands on, and what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.choose.choose import choose_rate, read_choice, summarise
from components.choose.component import choose
from components.choose.settings import ChooseSettings
from components.shared.errors import InputError
from components.shared.outputs.divergence import Divergence
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest, Parent, parse_manifest
from components.shared.outputs.output import Output
from components.shared.rows import AskedBenchmark, EvaluationFacts
from components.shared.scores import score_values
from components.shared.settings import Settings
from components.shared.step import Product

DEMO = AskedBenchmark(
    name="demo", metric="exact_match", protocol="the reply", few_shot=0, max_tokens=4,
    samples=1, temperature=0.0, top_p=1.0,
)  # fmt: skip
SETTINGS = ChooseSettings(benchmark="demo", rates=(0.001, 0.01, 0.0001), seeds=(0, 7))
SCORES = {"0.0001/0": 0.5, "0.0001/7": 0.5, "0.001/0": 0.8, "0.001/7": 0.6, "0.01/0": 1.0, "0.01/7": 0.2}
"""The best mean is 0.001's, the best single score 0.01's."""


class Artifact:
    """The part of kfp's artifact that a component uses."""

    def __init__(self, path: Path) -> None:
        self.path, self.metadata = str(path), {}

    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


def evaluation(library: Library, model: str, score: float, part: Any = "validation") -> Manifest:
    inputs = {"model": Parent(address=model, digest=f"sha256:{model.encode().hex():0>64}")}
    output = Output(library, Product("evaluate", 6, "evaluation/1"), Settings(), inputs)
    output.write_json("evaluation.json", EvaluationFacts(benchmarks=(DEMO,), part=part))
    answers = [1.0] * round(10 * score) + [0.0] * round(10 - 10 * score)
    scores = [score_values("demo", "another_metric", [1.0]), score_values("demo", DEMO.metric, answers)]
    output.write_json("scores.json", [one.model_dump() for one in scores])
    return output.finish({"questions": 10})


def evaluations(library: Library, scores: Mapping[str, float] = SCORES, models: str = "train") -> dict[str, Manifest]:
    return {key: evaluation(library, f"{models}/{key.replace('/', '-')}", score) for key, score in scores.items()}


def test_the_best_mean_over_the_seeds_wins_and_each_seed_gets_its_model(tmp_path: Path) -> None:
    library = Library(str(tmp_path / "store"))
    uris = {key: library.uri(made.address) for key, made in evaluations(library).items()}
    plain = SETTINGS.model_dump(mode="json")
    models, addresses = [], []
    for seed in SETTINGS.seeds:
        outputs = [Artifact(tmp_path / f"{seed}" / name) for name in ("choice", "metrics", "summary")]
        models.append(choose.python_func(library.root, f"choose-x-s{seed}", plain, uris, str(seed), *outputs))
        addresses.append(parse_manifest(Path(outputs[0].path).read_bytes(), where="choice").address)
    assert models == [library.uri("train/0.001-0"), library.uri("train/0.001-7")]
    assert addresses[0] == addresses[1], "seeds share the choice"
    text = Path(outputs[2].path).read_text()
    assert "# Learning rate 0.001" in text and "| 0.001 ★ | 70.0 | 80.0, 60.0 |" in text and "outside" not in text

    choice = read_choice(library, library.load(addresses[0]))
    assert [(one.rate, round(one.mean, 2)) for one in choice.tried] == [(0.0001, 0.5), (0.001, 0.7), (0.01, 0.6)]
    assert choice.metric == "exact_match" and not choice.at_edge


def test_of_equal_means_the_smaller_rate_wins_and_an_edge_is_reported(tmp_path: Path) -> None:
    library = Library(str(tmp_path))
    made = choose_rate(library, SETTINGS, evaluations(library, dict.fromkeys(SCORES, 0.5)))
    choice = read_choice(library, made)
    assert choice.rate == 0.0001 and choice.at_edge and made.counts["at_edge"] == 1


def test_other_models_with_equal_answers_are_another_choice(tmp_path: Path) -> None:
    library = Library(str(tmp_path))
    ours, theirs = (choose_rate(library, SETTINGS, evaluations(library, models=name)) for name in ("ours", "theirs"))
    assert ours.address != theirs.address
    assert read_choice(library, theirs).models["0"] == "theirs/0.001-0"


def diverged(library: Library, *keys: str) -> dict[str, Manifest]:
    """The evaluations of a sweep in which the trainings of these rates and seeds have diverged."""
    made = evaluations(library)
    for key in keys:
        training = f"train/{key.replace('/', '-')}"
        inputs = {"model": Parent(address=training, digest=f"sha256:{training.encode().hex():f>64}")}
        output = Output(library, Product("evaluate", 6, "evaluation/1"), Settings(), inputs)
        output.write_json("evaluation.json", EvaluationFacts(benchmarks=(DEMO,), part="validation"))
        found = Divergence(training=training, step=3, problem="the loss of step 3 is nan")
        output.write_json("diverged.json", found)
        made[key] = output.finish({"questions": 0, "diverged": 1})
    return made


def test_a_rate_that_diverged_with_one_seed_is_out(tmp_path: Path) -> None:
    """0.001 has the best mean, but one of its seeds has no model: seeds stay paired."""
    library = Library(str(tmp_path))
    made = choose_rate(library, SETTINGS, diverged(library, "0.001/7"))
    choice = read_choice(library, made)
    assert choice.rate == 0.01 and choice.models == {"0": "train/0.01-0", "7": "train/0.01-7"}
    low, out, high = choice.tried
    assert (out.rate, out.mean, out.by_seed, out.diverged) == (0.001, None, {"0": 0.8}, (7,))
    assert (low.mean, high.mean, low.diverged, high.diverged) == (0.5, 0.6, (), ())
    assert (made.counts["rates"], made.counts["rates_diverged"]) == (3, 1)
    assert "| 0.001 | diverged | 80.0, diverged |" in summarise(library, made)
    assert "model/0.001/7" in made.parents, "what diverged is part of the lineage"


def test_with_fewer_than_two_rates_left_nothing_is_chosen(tmp_path: Path) -> None:
    library = Library(str(tmp_path))
    with pytest.raises(InputError, match=r"of 3 learning rates, 2 diverged: 0\.001, 0\.01") as caught:
        choose_rate(library, SETTINGS, diverged(library, "0.001/0", "0.01/0", "0.01/7"))
    assert caught.value.remedy == "try smaller learning rates" and "at least 2" in caught.value.rule


def test_the_largest_rate_that_stays_finite_is_not_the_edge_of_the_sweep(tmp_path: Path) -> None:
    """The sweep went beyond it, and found divergence there."""
    library = Library(str(tmp_path))
    choice = read_choice(library, choose_rate(library, SETTINGS, diverged(library, "0.01/0")))
    assert choice.rate == 0.001 and not choice.at_edge


def test_an_incomplete_sweep_is_refused(tmp_path: Path) -> None:
    library = Library(str(tmp_path))
    made = evaluations(library)
    with pytest.raises(InputError, match=r"no evaluation '0\.01/7'") as caught:
        choose_rate(library, SETTINGS, {key: one for key, one in made.items() if key != "0.01/7"})
    assert "complete sweep" in caught.value.rule
    with pytest.raises(InputError, match="too many"):
        choose_rate(library, SETTINGS, {**made, "0.1/7": made["0.01/7"]})


@pytest.mark.parametrize("part", ["all", "test"])
def test_questions_that_judge_must_not_choose(tmp_path: Path, part: str) -> None:
    library = Library(str(tmp_path))
    made = evaluations(library) | {"0.01/7": evaluation(library, "train/x", 0.2, part)}
    with pytest.raises(InputError, match=f"on the part '{part}'"):
        choose_rate(library, SETTINGS, made)
