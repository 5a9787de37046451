"""What is merged slice by slice equals mergekit's result bit for bit, in any number of slices and files."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from components.merge.compatible import require_compatible
from components.merge.methods.registry import METHODS
from components.merge.run_mergekit import run_mergekit
from components.merge.settings import MergeSettings
from components.merge.source import MergeSource
from components.merge.stream.stream_weights import StreamedMerge, stream_weights
from components.models.stored.stored_model import read_folder
from components.shared.errors import ModelError
from tests.edit_model import edit_weights, read_weights, split_weights

SFT_KTO: list[dict[str, Any]] = [{"name": "sft", "weight": 0.3, "density": 0.4}, {"name": "kto", "weight": 0.9}]
ALL = [*SFT_KTO, {"name": "third", "weight": -0.2, "density": 1.0}]
CASES: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear", "models": SFT_KTO},
    "linear of three": {"method": "linear", "models": ALL, "dtype": "bfloat16"},
    "linear sum": {"method": "linear", "models": SFT_KTO, "normalize": False, "dtype": "float16"},
    "slerp": {"method": "slerp", "base": "base", "models": [{"name": "sft"}], "t": 0.3},
    "slerp of two that are not alike": {"method": "slerp", "models": [{"name": "sft"}, {"name": "stranger"}], "t": 0.8},
    "ties": {"method": "ties", "base": "base", "models": SFT_KTO},
    "ties of three": {"method": "ties", "base": "base", "models": ALL, "dtype": "bfloat16"},
    "ties sum, base named": {"method": "ties", "base": "base", "models": [{"name": "base"}, *ALL], "normalize": False},
    "ties of one": {"method": "ties", "base": "base", "models": [{"name": "kto", "density": 0.01}]},
}


@pytest.fixture(scope="module")
def sources(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, MergeSource]:
    """A base, three models near it and one that is not, of differing types and numbers of files."""
    home = tmp_path_factory.mktemp("sources")
    folders = {name: Path(shutil.copytree(folder, home / name)) for name, folder in models.items()}
    folders["stranger"] = Path(shutil.copytree(models["sft"], home / "stranger"))
    edit_weights(folders["stranger"], lambda tensors: {name: torch.randn_like(data) for name, data in tensors.items()})
    edit_weights(folders["kto"], lambda tensors: {name: data.bfloat16() for name, data in tensors.items()})
    edit_weights(folders["third"], lambda tensors: {name: data.half() for name, data in tensors.items()})
    split_weights(folders["third"], 3)
    return require_compatible(folders)


@pytest.fixture
def stable_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """mergekit keeps some of the differences that are equal at TIES' limit; with a stable sort, the first ones."""
    sort = torch.argsort
    monkeypatch.setattr(torch, "argsort", lambda values, **options: sort(values, stable=True, **options))


def streamed(settings: MergeSettings, sources: dict[str, MergeSource], folder: Path, **sizes: int) -> Path:
    folder.mkdir()
    used = {name: sources[name] for name in settings.used}
    dtype = sources[settings.donor].dtype if settings.dtype == "auto" else settings.dtype
    stream_weights(used, [StreamedMerge(METHODS[settings.method], settings, dtype, folder)], **sizes)
    return folder


@pytest.mark.usefixtures("stable_sort")
@pytest.mark.parametrize("case", CASES)
def test_the_file_has_mergekits_bytes(case: str, sources: dict[str, MergeSource], tmp_path: Path) -> None:
    settings = MergeSettings.model_validate(CASES[case])
    scratch = tmp_path / "mergekit"
    scratch.mkdir()
    theirs = run_mergekit(settings, {name: sources[name] for name in settings.used}, scratch)
    ours = streamed(settings, sources, tmp_path / "ours")
    assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()


@pytest.mark.parametrize("case", [case for case in CASES if "slerp" not in case])
def test_the_number_of_slices_and_files_changes_nothing(
    case: str, sources: dict[str, MergeSource], tmp_path: Path
) -> None:
    settings = MergeSettings.model_validate(CASES[case])
    one = streamed(settings, sources, tmp_path / "one")
    many = streamed(settings, sources, tmp_path / "many", slice_elements=67, file_bytes=20_000)
    expected, found = read_weights(one), read_weights(many)
    assert len(list(many.glob("*.safetensors"))) > 2
    assert expected.keys() == found.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("t", [0.25, 1.0])
def test_slerp_of_a_tensor_of_many_slices(sources: dict[str, MergeSource], tmp_path: Path, t: float) -> None:
    """mergekit's sums are by chunks of 2**20 elements, which is the size of a slice."""
    from mergekit.merge_methods.slerp import slerp

    pair = {name: torch.randn(3, (1 << 20) + 5) for name in ("base", "sft")}
    changed = {}
    for name, data in pair.items():
        folder = Path(shutil.copytree(sources[name].folder, tmp_path / name))
        edit_weights(folder, lambda _, data=data: {"large": data})
        changed[name] = MergeSource(folder, read_folder(folder), frozenset())
    settings = MergeSettings.model_validate({"method": "slerp", "models": [{"name": name} for name in pair], "t": t})
    found = read_weights(streamed(settings, changed, tmp_path / "merged"))["large"]
    expected = slerp(torch.tensor([t]), pair["base"][None], pair["sft"][None])[0]
    assert torch.equal(found, expected)


def with_positions(source: MergeSource, folder: Path, positions: torch.Tensor) -> MergeSource:
    shutil.copytree(source.folder, folder)
    edit_weights(folder, lambda tensors: tensors | {"positions": positions})
    return MergeSource(folder, read_folder(folder), frozenset())


def test_whole_numbers_are_copied_and_must_be_equal(sources: dict[str, MergeSource], tmp_path: Path) -> None:
    settings = MergeSettings.model_validate({"models": [{"name": "a"}, {"name": "b"}], "dtype": "bfloat16"})
    positions = torch.arange(300)
    kinds = {"a": positions, "b": positions, "other": positions + 1, "floats": positions.float()}
    made = {name: with_positions(sources["sft"], tmp_path / name, kind) for name, kind in kinds.items()}
    merged = streamed(settings, made, tmp_path / "merged", slice_elements=100)
    assert torch.equal(read_weights(merged)["positions"], positions)
    for other, types in (("other", "I64 | I64"), ("floats", "I64 | F32")):
        with pytest.raises(ModelError) as caught:
            streamed(settings, made | {"b": made[other]}, tmp_path / f"refused-{other}")
        assert f"'a' and 'b' cannot be merged: positions differs ({types})" in str(caught.value)
