"""Merges of the same models are made in one pass, each at its own address."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.merge.merge import merge_models
from components.merge.settings import MergeSettings
from components.merge.stream.source_files import SourceFiles
from components.shared.errors import InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.store.lease import hold


def mix(weight: float, **changed: Any) -> MergeSettings:
    models = [{"name": "sft", "weight": weight}, {"name": "kto", "weight": 1 - weight}]
    return MergeSettings.model_validate({"models": models, **changed})


RATIOS = [mix(0.25), mix(0.5), mix(0.75, dtype="bfloat16")]
SLERP = MergeSettings.model_validate({"method": "slerp", "base": "sft", "models": [{"name": "kto"}], "t": 0.1})


def made(library: Library) -> dict[str, Manifest]:
    paths = Path(library.root).glob("merge/*/manifest.json")
    return {path.parent.name: library.load(f"merge/{path.parent.name}") for path in paths}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str, int]]:
    """How often each slice is read, by model, tensor and start."""
    counted: Counter[tuple[str, str, int]] = Counter()
    load = SourceFiles._load

    def count(self: SourceFiles, model: str, tensor: str, start: int, stop: int) -> Any:
        counted[model, tensor, start] += 1
        return load(self, model, tensor, start, stop)

    monkeypatch.setattr(SourceFiles, "_load", count)
    return counted


def test_a_sweep_reads_each_source_once_and_equals_single_merges(
    tmp_path: Path, models: dict[str, str], reads: Counter[tuple[str, str, int]]
) -> None:
    together, single = Library(str(tmp_path / "together")), Library(str(tmp_path / "single"))
    first, *others = [*RATIOS, SLERP]
    merge_models(together, first, models, others)
    assert set(reads.values()) == {1} and {model for model, _, _ in reads} == {"sft", "kto"}
    for settings in (first, *others):
        merge_models(single, settings, models)
    one, other = made(together), made(single)
    assert len(one) == 4 and {key: m.digest for key, m in one.items()} == {key: m.digest for key, m in other.items()}
    reads.clear()
    for settings in (first, *others):
        merge_models(together, settings, models)
    assert not reads, "each merge finds its output"


def test_what_is_complete_or_being_made_is_left_to_others(tmp_path: Path, models: dict[str, str]) -> None:
    library = Library(str(tmp_path))
    first, second, third = RATIOS
    done = merge_models(library, second, models)
    missing = merge_models(Library(str(tmp_path / "elsewhere")), third, models).address
    with hold(library.at(missing)):
        merge_models(library, first, models, [second, third])
    assert len(made(library)) == 2 and made(library)[done.address.rpartition("/")[2]].created == done.created
    merge_models(library, first, models, [second, third])
    assert len(made(library)) == 3, "a merge that was added later is made though the first is complete"


def test_merges_of_other_models_are_not_a_sweep(tmp_path: Path, models: dict[str, str]) -> None:
    other = MergeSettings.model_validate({"models": [{"name": "sft"}, {"name": "third"}]})
    with pytest.raises(InputError, match="a merge of sft, third cannot be made with one of sft, kto"):
        merge_models(Library(str(tmp_path)), RATIOS[0], models, [other])
