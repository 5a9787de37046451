"""Settings of collect: validation, and what determines which output."""

import pytest
from pydantic import ValidationError

from components.collect.set_settings import BenchmarkSource
from components.collect.settings import CollectSettings

SOURCE = {"name": "a", "uri": "data/a.jsonl"}
SET = {"name": "gsm8k", "uri": "eval/gsm8k_test.jsonl"}


def settings(**changes: object) -> CollectSettings:
    return CollectSettings.model_validate({"sources": [SOURCE], **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": []}, "at least 1 item"),
        ({"sources": [SOURCE, SOURCE]}, "named twice: a"),
        ({"sources": [{**SOURCE, "name": "Has Space"}]}, "pattern"),
        ({"sources": [{**SOURCE, "format": "xml"}]}, "allowed: auto, jsonl, json, csv, tsv, unquoted_tsv, parquet"),
        ({"sources": [{**SOURCE, "shape": "poem"}]}, "allowed: auto, preference, seed_tasks, alpaca"),
        ({"sources": [{**SOURCE, "check": {"kind": "guess"}}]}, "allowed: none, math, exact, choice"),
        ({"sources": [{**SOURCE, "limit": 0}]}, "greater than or equal to 1"),
        ({"sources": [{**SOURCE, "url": "x"}]}, "Extra inputs"),
        ({"max_rejected_share": 1.5}, "less than or equal to 1"),
        ({"benchmarks": [SET, SET]}, "named twice: gsm8k"),
        (
            {"benchmarks": [{**SET, "name": "mine"}]},
            "no importer 'mine': .*; or, for questions of your own: {name: …, uri",
        ),
        (
            {"benchmarks": [{**SET, "importer": "questions"}]},
            "replaced by sets with a check: write {name: …, uri: …, check",
        ),
        (
            {"benchmarks": [{**SET, "check": {"kind": "guess"}}]},
            "no check of answers 'guess'; allowed: none, math, exact",
        ),
        (
            {"benchmarks": [{**SET, "check": {"kind": "exact"}, "importer": "gsm8k"}]},
            "'rows with a check' has no such key",
        ),
        ({"benchmarks": [{**SET, "uri": ""}]}, "at least 1 character"),
        ({"holdout": {"share": 0}}, "greater than 0"),
        ({"holdout": {"sources": ["b"]}}, "holdout: no source b; allowed: a"),
        ({"holdout": {"name": "gsm8k"}, "benchmarks": [SET]}, "named twice: gsm8k"),
        ({"benchmarks": [{**SET, "importer": "mine"}]}, "allowed: auto, gsm8k, mmlu"),
    ],
)
def test_wrong_settings_say_what_is_allowed(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**changes)


def test_importer_defaults_to_the_name() -> None:
    found = settings(benchmarks=[SET, {"name": "dev", "uri": "x", "importer": "mmlu"}]).benchmarks
    assert [each.importer_name for each in found if isinstance(each, BenchmarkSource)] == ["gsm8k", "mmlu"]


def test_an_entry_with_a_key_of_sources_is_a_set_of_ones_own() -> None:
    own = [{**SET, "name": "mine", "check": {"kind": "math"}}, {**SET, "name": "problems", "shape": "gsm8k"}]
    found = settings(benchmarks=[SET, *own], holdout={})
    assert found.sets == {"gsm8k": False, "mine": True, "problems": True, "holdout": True}
    moved = settings(benchmarks=[{**own[0], "uri": "s3://bucket/mine.jsonl"}])
    assert moved.benchmark_part.key_material() == settings(benchmarks=[own[0]]).benchmark_part.key_material()


def test_what_is_held_out_determines_the_dataset() -> None:
    more, plain = settings(holdout={"share": 0.1}), settings()
    assert more.dataset_part.key_material() != plain.dataset_part.key_material()
    assert more.benchmark_part.key_material() == plain.benchmark_part.key_material()


def test_each_output_depends_on_its_own_part() -> None:
    plain = settings()
    more = settings(benchmarks=[SET], seed=3)
    assert more.dataset_part.key_material() == plain.dataset_part.key_material()
    assert more.benchmark_part.key_material() != plain.benchmark_part.key_material()
    stricter = settings(max_rejected_share=0.5)
    assert stricter.benchmark_part.key_material() != plain.benchmark_part.key_material(), "it holds for sets too"
    assert stricter.dataset_part.key_material() != plain.dataset_part.key_material()


def test_moved_files_do_not_change_the_key() -> None:
    moved = settings(sources=[{**SOURCE, "uri": "s3://bucket/a.jsonl"}])
    assert moved.dataset_part.key_material() == settings().dataset_part.key_material()


def test_settings_survive_serialisation_by_kubeflow() -> None:
    """Kubeflow passes integers as doubles."""
    plain = settings(benchmarks=[{**SET, "limit": 5}]).model_dump(mode="json")
    plain["max_characters"], plain["benchmarks"][0]["limit"] = 100_000.0, 5.0
    assert CollectSettings.model_validate(plain) == settings(benchmarks=[{**SET, "limit": 5}])


def test_schema_lists_formats_shapes_and_importers() -> None:
    text = str(CollectSettings.model_json_schema())
    assert "'parquet'" in text and "'sharegpt'" in text and "'humaneval'" in text
