"""The backend of an evaluation, and how often each question is asked."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from components.evaluate.benchmarks.registry import BENCHMARKS
from components.evaluate.evaluation import facts_of
from components.evaluate.settings import EvaluationSettings
from components.models.generators.generator import Sampling
from components.models.generators.transformers import TransformersSettings
from components.models.generators.vllm import VllmSettings

ENDPOINT = {"backend": "openai", "model": "m", "endpoints": ["http://here:8000/v1"]}


def settings(**changed: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate({"benchmarks": [{"name": "exact"}], **changed})


def test_the_model_is_the_steps_input_except_behind_an_endpoint() -> None:
    assert settings().generator.backend == "transformers"
    assert settings(generator={"backend": "vllm", "max_model_len": 4096}).generator.backend == "vllm"
    assert settings(generator=ENDPOINT).generator.is_remote
    with pytest.raises(ValidationError, match="leave `model` out"):
        settings(generator={"backend": "vllm", "model": "m"})
    with pytest.raises(ValidationError, match="needs `model`"):
        settings(generator={"backend": "openai", "endpoints": ["http://here:8000/v1"]})
    stored = settings(generator={"batch": 3}).model_dump_json()
    assert EvaluationSettings.model_validate_json(stored).generator == TransformersSettings(model="", batch=3)
    shown = json.dumps(EvaluationSettings.model_json_schema())
    assert shown.count('"required": ["model"]') == 1, "of the endpoint alone"


def test_the_key_holds_what_may_change_an_answer() -> None:
    """Backends add numbers in another order, so that now and then another token is the likeliest."""
    key = settings().key_material()
    assert settings(generator={"batch": 3, "device": "cpu"}).key_material() == key
    assert settings(generator={"backend": "vllm"}).key_material() != key
    assert settings(generator={"precision": "float32"}).key_material() != key
    there = settings(generator=ENDPOINT).key_material()
    assert settings(generator={**ENDPOINT, "endpoints": ["http://there/v1"], "window": 3}).key_material() == there
    assert settings(generator={**ENDPOINT, "model": "other"}).key_material() != there


def test_fields_that_came_later_keep_the_addresses_of_existing_outputs() -> None:
    assert Sampling().key_material() == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 512, "seed": 0}
    assert Sampling(stop=("\n",)).key_material()["stop"] == ["\n"]
    assert TransformersSettings(model="m").key_material().keys() == {"backend", "model", "extra"}
    assert VllmSettings(model="m").key_material().keys() == {"backend", "model", "extra"}
    assert VllmSettings(model="m", max_model_len=9).key_material()["max_model_len"] == 9


@pytest.mark.parametrize("generator", [ENDPOINT, {"backend": "vllm"}])
def test_only_backends_with_log_likelihoods_rank(generator: dict[str, Any]) -> None:
    ranked = [{"name": "own", "benchmark": "ranked"}]
    assert settings(benchmarks=ranked).ranked == ["own"]
    with pytest.raises(ValidationError, match=f"own: ranked .*'{generator['backend']}' does not .*: transformers"):
        settings(benchmarks=ranked, generator=generator)
    with pytest.raises(ValidationError, match="leave max_tokens out"):
        settings(benchmarks=[{**ranked[0], "max_tokens": 4}])


def test_several_answers_need_a_temperature_and_pass_at_k_needs_k_answers() -> None:
    assert settings(samples=4, temperature=0.6, pass_at=[1, 4]).pass_at == (1, 4)
    with pytest.raises(ValidationError, match="temperature above 0"):
        settings(samples=4)
    with pytest.raises(ValidationError, match="set samples to at least 8"):
        settings(samples=4, temperature=0.6, pass_at=[8])


def test_settings_that_moved_say_where_to() -> None:
    with pytest.raises(ValidationError, match=r"generator: \{batch: …\}"):
        settings(batch=3)


def test_an_evaluation_records_how_each_benchmark_was_asked() -> None:
    """In one line too, for reports."""
    own = {"name": "mine", "prompt": "{question} Briefly.", "max_tokens": 9}
    wanted = settings(benchmarks=[own, {"name": "gsm8k"}], samples=4, temperature=0.6, top_p=0.9, pass_at=[2])
    mine, gsm8k = facts_of(wanted, ["math_match", "exact_match"]).benchmarks
    assert (mine.samples, mine.temperature, mine.top_p, mine.pass_at) == (4, 0.6, 0.9, (2,))
    assert mine.words.endswith(
        "; prompt '{question} Briefly.'; zero-shot; 4 answers at temperature 0.6, top_p 0.9 of at most 9 tokens"
    )
    assert (gsm8k.few_shot, gsm8k.prompt) == (4, None) and "; 4 worked examples; 4 answers" in gsm8k.words
    one = facts_of(settings(benchmarks=[{"name": "bbh", "few_shot": 1}]), ["exact_match"]).benchmarks[0]
    assert one.words.endswith("; 1 worked example; a greedy answer of at most 512 tokens")


@pytest.mark.parametrize("name", ["gsm8k", "bbh"])
def test_only_the_examples_that_were_shown_are_reported(name: str) -> None:
    none = facts_of(settings(benchmarks=[{"name": name, "few_shot": 0}]), ["exact_match"]).benchmarks[0]
    assert "zero-shot" in none.words and "-shot chain" not in none.words and "worked example" not in none.words


def test_no_protocol_names_a_number_of_worked_examples() -> None:
    assert [name for name, kind in BENCHMARKS.items() if "-shot" in kind.protocol] == []
