"""An output is stored at the hash of what makes it, and is complete only with its manifest."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from components.shared.errors import DamagedError, LeaseError, NotFoundError
from components.shared.outputs.digest import digest_bytes
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import Rejected
from components.shared.settings import Settings
from components.shared.step import Product
from components.shared.store import lease
from components.shared.store.lease import LEASE

PARENT = Parent(address="collect/1", digest="aa")


class Sampling(Settings):
    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"workers"})

    temperature: float = 0.7
    workers: int = 1


def output(
    root: Path, step: str = "step", version: int = 1, settings: Settings | None = None, **inputs: Parent
) -> Output:
    return Output(
        Library(str(root)), Product(step, version, "rejected/1"), settings or Sampling(), inputs or {"dataset": PARENT}
    )


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


def test_an_unfinished_output_is_not_complete(tmp_path: Path) -> None:
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
        manifest = made.finish({"rows": 1}, Cost(seconds=2, tokens_in=3))
    found = output(tmp_path).manifest()
    assert found == manifest == Library(str(tmp_path)).load(made.address)
    names = ["model/a.safetensors", "model/deep/b.json", "report.json", "rows/00000.jsonl.gz"]
    assert [shard.name for shard in manifest.shards] == names
    for shard in manifest.shards:
        data = made.store.read(shard.name)
        assert (len(data), digest_bytes(data)) == (shard.bytes, shard.digest)
    assert manifest.parents == {"dataset": PARENT} and manifest.settings == Sampling().model_dump()
    assert manifest.versions["tutelage"] and manifest.cost.tokens_in == 3
    assert not made.store.exists(LEASE)


def test_seconds_are_counted_when_no_cost_is_given(tmp_path: Path) -> None:
    with output(tmp_path).writing() as made:
        assert made.finish().cost.seconds >= 0


def test_shards_of_an_earlier_attempt_are_adopted(tmp_path: Path) -> None:
    first = output(tmp_path)
    shard = first.write_rows("rows/00000", [Rejected(source="s", line=1, reason="r")])
    second = output(tmp_path)
    with second.writing():
        second.adopt(shard)
        assert second.finish().shards == (shard,)


def test_root_can_move(tmp_path: Path) -> None:
    with output(tmp_path / "old").writing() as made:
        manifest = made.finish()
    (tmp_path / "old").rename(tmp_path / "new")
    assert Library(str(tmp_path / "new")).find(manifest.address) == manifest
    with pytest.raises(NotFoundError):
        Library(str(tmp_path / "old")).load(manifest.address)


def never() -> Manifest:
    pytest.fail("there is nothing to do")


def test_an_output_that_is_there_is_taken_without_checks_or_a_lease(tmp_path: Path) -> None:
    first = output(tmp_path).made(output(tmp_path).finish)
    checked: list[str] = []
    assert output(tmp_path).made(never, prepare=lambda: checked.append("prepared")) == first
    assert checked == []


def test_checks_come_before_the_lease_and_the_work_under_it(tmp_path: Path) -> None:
    made, held = output(tmp_path), []

    def work() -> Manifest:
        held.append(made.store.exists(LEASE))
        return made.finish()

    made.made(work, prepare=lambda: held.append(made.store.exists(LEASE)))
    assert held == [False, True]
    assert not made.store.exists(LEASE)


def test_a_failed_check_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        output(tmp_path).made(never, prepare=lambda: [1 / 0][0] and None)
    assert list(output(tmp_path).store.list()) == []


def test_of_two_writers_the_second_takes_what_the_first_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)
    begun, release, runs = threading.Event(), threading.Event(), []

    def write(name: str) -> Manifest:
        made = output(tmp_path)

        def work() -> Manifest:
            runs.append(name)
            begun.set()
            assert release.wait(30)
            made.write_bytes("report.json", name.encode())
            return made.finish()

        return made.made(work, wait_seconds=30)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(write, "first")
        assert begun.wait(30)
        second = threads.submit(write, "second")
        with pytest.raises(LeaseError, match="is being written by process"):
            output(tmp_path).made(never)
        release.set()
        assert second.result(30) == first.result(30)
    assert runs == ["first"]
    assert output(tmp_path).store.read("report.json") == b"first"


def test_an_output_whose_surroundings_are_gone_is_made_again(tmp_path: Path) -> None:
    """Publish's report is complete only with the model that it names as promoted."""
    made, works = output(tmp_path), []

    def work() -> Manifest:
        works.append(made.address)
        return made.finish()

    made.made(work)
    made.made(work, is_complete=lambda manifest: manifest.step == "another")
    assert len(works) == 2
    made.made(never, is_complete=lambda manifest: manifest.step == "step")


def test_an_output_with_a_name_of_its_own(tmp_path: Path) -> None:
    released = Output(Library(str(tmp_path)), Product("models", 1, "model/1"), Settings(), {}, "models/tiny/1")
    assert released.made(released.finish).address == "models/tiny/1"
    assert Library(str(tmp_path)).load("models/tiny/1").step == "models"


def test_a_file_of_any_size_is_downloaded_checked(tmp_path: Path) -> None:
    made = output(tmp_path)
    made.write_bytes("model/weights", b"weights")
    manifest, library, copy = made.finish(), Library(str(tmp_path)), tmp_path / "copy"
    library.download(manifest, "model/weights", copy)
    assert copy.read_bytes() == b"weights"
    (tmp_path / made.address / "model/weights").write_bytes(b"wrights")
    with pytest.raises(DamagedError, match="model/weights is damaged"):
        library.download(manifest, "model/weights", copy)
    assert not copy.exists()
