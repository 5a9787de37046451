"""Settings of collect refuse what cannot work, and know what makes which output."""

import pytest
from pydantic import ValidationError

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
        ({"sources": [{**SOURCE, "format": "xml"}]}, "allowed: auto, jsonl, json, csv, tsv, parquet"),
        ({"sources": [{**SOURCE, "shape": "poem"}]}, "allowed: auto, seed_tasks, alpaca"),
        ({"sources": [{**SOURCE, "check": {"kind": "guess"}}]}, "'math', 'exact' or 'choice'"),
        ({"sources": [{**SOURCE, "limit": 0}]}, "greater than or equal to 1"),
        ({"sources": [{**SOURCE, "url": "x"}]}, "Extra inputs"),
        ({"max_rejected_share": 1.5}, "less than or equal to 1"),
        ({"benchmarks": [SET, SET]}, "named twice: gsm8k"),
        ({"benchmarks": [{**SET, "name": "mine"}]}, "no importer is called 'mine'"),
        ({"benchmarks": [{**SET, "importer": "mine"}]}, "allowed: auto, gsm8k, mmlu"),
    ],
)
def test_wrong_settings_say_what_is_allowed(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**changes)


def test_importer_goes_by_the_name_unless_named() -> None:
    found = settings(benchmarks=[SET, {"name": "held_out", "uri": "x", "importer": "demo"}]).benchmarks
    assert [benchmark.importer_name for benchmark in found] == ["gsm8k", "demo"]


def test_each_output_is_made_by_its_own_part() -> None:
    plain = settings()
    more = settings(benchmarks=[SET], seed=3)
    assert more.dataset_part.key_material() == plain.dataset_part.key_material()
    assert more.benchmark_part.key_material() != plain.benchmark_part.key_material()
    stricter = settings(max_rejected_share=0.5)
    assert stricter.benchmark_part.key_material() == plain.benchmark_part.key_material()
    assert stricter.dataset_part.key_material() != plain.dataset_part.key_material()


def test_moved_files_do_not_change_the_key() -> None:
    moved = settings(sources=[{**SOURCE, "uri": "s3://bucket/a.jsonl"}])
    assert moved.dataset_part.key_material() == settings().dataset_part.key_material()


def test_settings_survive_a_pipeline() -> None:
    """Kubeflow hands integers over as doubles."""
    plain = settings(benchmarks=[{**SET, "limit": 5}]).model_dump(mode="json")
    plain["max_characters"], plain["benchmarks"][0]["limit"] = 100_000.0, 5.0
    assert CollectSettings.model_validate(plain) == settings(benchmarks=[{**SET, "limit": 5}])


def test_schema_lists_formats_shapes_and_importers() -> None:
    text = str(CollectSettings.model_json_schema())
    assert "'parquet'" in text and "'sharegpt'" in text and "'humaneval'" in text
