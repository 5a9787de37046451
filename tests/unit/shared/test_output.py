"""An output lies at the hash of what makes it, and is whole only with its manifest."""

import hashlib
from pathlib import Path
from typing import ClassVar

import pytest

from components.shared.errors import NotFoundError
from components.shared.lease import LEASE
from components.shared.manifest import Cost, Parent, find_manifest, load_manifest
from components.shared.output import Output
from components.shared.rows import Rejected
from components.shared.settings import Settings

PARENT = Parent(address="collect/1", digest="aa")


class Sampling(Settings):
    apart_from_key: ClassVar[frozenset[str]] = frozenset({"workers"})

    temperature: float = 0.7
    workers: int = 1


def output(
    root: Path, step: str = "step", version: int = 1, settings: Settings | None = None, **inputs: Parent
) -> Output:
    return Output(str(root), step, version, settings or Sampling(), inputs or {"dataset": PARENT})


def test_address_is_the_same_for_the_same_makers(tmp_path: Path) -> None:
    assert output(tmp_path).address == output(tmp_path / "elsewhere").address
    assert output(tmp_path, settings=Sampling(workers=9)).address == output(tmp_path).address
    moved = Parent(address="other/place", digest=PARENT.digest)
    assert output(tmp_path, dataset=moved).address == output(tmp_path).address


def test_address_changes_with_every_maker(tmp_path: Path) -> None:
    addresses = {
        output(tmp_path).address,
        output(tmp_path, step="other").address,
        output(tmp_path, version=2).address,
        output(tmp_path, settings=Sampling(temperature=0.8)).address,
        output(tmp_path, dataset=Parent(address="collect/1", digest="ab")).address,
        output(tmp_path, model=PARENT).address,
        output(tmp_path, dataset=PARENT, model=PARENT).address,
    }
    assert len(addresses) == 7


def test_output_without_its_end_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), output(tmp_path).writing() as half:
        half.write_bytes("report.json", b"{}")
        _ = 1 / 0
    assert output(tmp_path).manifest() is None
    assert sorted(entry.key for entry in output(tmp_path).store.list()) == ["report.json"]


def test_finished_output_is_found_again(tmp_path: Path) -> None:
    with output(tmp_path).writing() as made:
        made.write_rows("rows/00000", [Rejected(source="s", line=1, reason="r")])
        made.write_json("report.json", {"中": 1})
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "a.safetensors").write_bytes(b"weights")
        (tmp_path / "weights" / "deep").mkdir()
        (tmp_path / "weights" / "deep" / "b.json").write_bytes(b"{}")
        made.write_folder(tmp_path / "weights", "model")
        manifest = made.finish("rejected/1", {"rows": 1}, Cost(seconds=2, tokens_in=3))
    found = output(tmp_path).manifest()
    assert found == manifest == load_manifest(str(tmp_path), made.address)
    names = ["model/a.safetensors", "model/deep/b.json", "report.json", "rows/00000.jsonl.gz"]
    assert [shard.name for shard in manifest.shards] == names
    for shard in manifest.shards:
        data = made.store.read(shard.name)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard.bytes, shard.sha256)
    assert manifest.parents == {"dataset": PARENT} and manifest.settings == Sampling().model_dump()
    assert manifest.versions["tutelage"] and manifest.cost.tokens_in == 3
    assert not made.store.exists(LEASE)


def test_seconds_are_counted_when_no_cost_is_given(tmp_path: Path) -> None:
    with output(tmp_path).writing() as made:
        assert made.finish("rejected/1").cost.seconds >= 0


def test_shards_of_an_earlier_attempt_are_adopted(tmp_path: Path) -> None:
    first = output(tmp_path)
    shard = first.write_rows("rows/00000", [Rejected(source="s", line=1, reason="r")])
    second = output(tmp_path)
    with second.writing():
        second.adopt(shard)
        assert second.finish("rejected/1").shards == (shard,)


def test_root_can_move(tmp_path: Path) -> None:
    with output(tmp_path / "old").writing() as made:
        manifest = made.finish("rejected/1")
    (tmp_path / "old").rename(tmp_path / "new")
    assert find_manifest(str(tmp_path / "new"), manifest.address) == manifest
    with pytest.raises(NotFoundError):
        load_manifest(str(tmp_path / "old"), manifest.address)
