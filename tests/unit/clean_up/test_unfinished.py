"""What a clean-up of a store finds unfinished, what it deletes, and what it leaves alone."""

import os
import re
import time
from pathlib import Path

import pytest

from components.clean_up import unfinished
from components.shared.errors import LeaseError
from components.shared.store import lease
from components.shared.store.open_store import open_store

ROOT = Path(__file__).parents[3]
KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
OLD = time.time() - 40 * unfinished.DAY
LIMIT = time.time() - 30 * unfinished.DAY


def put(root: Path, key: str, modified: float = OLD, data: bytes = b"data") -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (modified, modified))
    return path


def put_lease(root: Path, address: str, renewed: float) -> Path:
    held = lease.Lease(token="t", host="another/machine", process=1, renewed=renewed)
    return put(root, f"{address}/lease.json", renewed, held.model_dump_json().encode())


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def run(root: Path, *options: str) -> int:
    return unfinished.main([str(root), *options])


def test_every_kind_of_output_is_looked_at() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "components").rglob("*.py"))
    made = set(re.findall(r'Product\(\s*"([a-z-]+)"', sources)) - {"models"}  # promoted models are kept
    assert made == set(unfinished.PLACES)


def test_only_old_addresses_without_manifest_and_holder_are_found(tmp_path: Path) -> None:
    put(tmp_path, f"train/{KEY}/rows/00000.jsonl.gz", data=b"12345")
    put(tmp_path, f"train/{KEY}/more.bin", OLD - 100)
    put(tmp_path, f"collect/{KEY}/rows.gz")
    put(tmp_path, f"collect/{KEY}/manifest.json")  # complete
    put(tmp_path, f"curate/{KEY}/old.gz")
    put(tmp_path, f"curate/{KEY}/new.gz", LIMIT + 60)  # has a writer
    put(tmp_path, f"merge/{KEY}/rows.gz")
    put_lease(tmp_path, f"merge/{KEY}", time.time())  # is leased
    (found,) = unfinished.find_unfinished(str(tmp_path), LIMIT)
    assert (found.address, found.objects, found.bytes) == (f"train/{KEY}", 2, 9)
    assert found.newest == pytest.approx(OLD, abs=1)


def test_intermediate_outputs_of_a_step_are_found_too(tmp_path: Path) -> None:
    put(tmp_path, f"curate-labels/{KEY}/rows/00000.jsonl.gz")
    assert [found.address for found in unfinished.find_unfinished(str(tmp_path), LIMIT)] == [f"curate-labels/{KEY}"]


def test_a_manifest_deeper_down_does_not_complete_an_address(tmp_path: Path) -> None:
    put(tmp_path, f"train/{KEY}/model/manifest.json")
    assert [found.address for found in unfinished.find_unfinished(str(tmp_path), LIMIT)] == [f"train/{KEY}"]


def test_nothing_but_addresses_is_touched(tmp_path: Path) -> None:
    foreign = [f"cache/{KEY}/x", "runs/r.json", "train/notes.txt", f"train/{KEY}extra/x", f"deep/train/{KEY}/x"]
    for key in foreign:
        put(tmp_path, key)
    assert run(tmp_path, "--delete") == 0
    assert files(tmp_path) == sorted(foreign)


def test_by_default_it_only_reports_what_it_would_delete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, f"select/{KEY}/rows.gz", data=b"x" * 2048)
    before = files(tmp_path)
    assert run(tmp_path) == 0
    said = capsys.readouterr().out
    assert f"would delete  select/{KEY}  1 objects, 2 KiB, 40 days old" in said
    assert "1 unfinished addresses, 2 KiB, to delete (--delete does it)" in said
    assert files(tmp_path) == before


def test_deletes_when_asked_and_a_second_time_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, f"train/{KEY}/rows.gz")
    put_lease(tmp_path, f"train/{KEY}", OLD)
    put(tmp_path, f"train/{KEY}/lease.json.after-gone", OLD, b"{}")
    put_lease(tmp_path, f"train/{OTHER}", OLD)  # a lease and nothing else
    put(tmp_path, f"train/{'a' * 16}/manifest.json")
    assert run(tmp_path, "--delete") == 0
    assert files(tmp_path) == [f"train/{'a' * 16}/manifest.json"]
    assert capsys.readouterr().out.count("deleted       ") == 2
    assert run(tmp_path, "--delete") == 0
    assert "0 unfinished addresses" in capsys.readouterr().out


def test_who_comes_back_before_the_deletion_keeps_the_address(tmp_path: Path) -> None:
    put(tmp_path, f"train/{KEY}/rows.gz")
    (found,) = unfinished.find_unfinished(str(tmp_path), LIMIT)
    put(tmp_path, f"train/{KEY}/new.gz", time.time())
    assert not unfinished.delete_unfinished(str(tmp_path), found, LIMIT)
    assert files(tmp_path) == [f"train/{KEY}/new.gz", f"train/{KEY}/rows.gz"]


def test_who_finished_or_holds_it_in_the_meantime_keeps_it(tmp_path: Path) -> None:
    put(tmp_path, f"train/{KEY}/rows.gz")
    put(tmp_path, f"merge/{KEY}/rows.gz")
    held, finished = unfinished.find_unfinished(str(tmp_path), LIMIT)
    put_lease(tmp_path, held.address, time.time())
    put(tmp_path, f"{finished.address}/manifest.json", OLD)
    assert not unfinished.delete_unfinished(str(tmp_path), finished, LIMIT)
    with lease.hold(open_store(str(tmp_path)).at(finished.address)):
        assert not unfinished.delete_unfinished(str(tmp_path), finished, LIMIT)
    assert (tmp_path / finished.address / "rows.gz").exists() and (tmp_path / held.address / "rows.gz").exists()


def test_a_writer_that_wakes_up_during_the_deletion_finds_that_it_lost_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that was suspended: its lease expired, and the deletion takes it over."""
    store = open_store(str(tmp_path)).at(f"train/{KEY}")
    sleeper = lease.Lease(token="sleeper", host="another/machine", process=1, renewed=OLD)
    put(tmp_path, f"train/{KEY}/lease.json", OLD, sleeper.model_dump_json().encode())
    put(tmp_path, f"train/{KEY}/rows.gz")
    (found,) = unfinished.find_unfinished(str(tmp_path), LIMIT)
    woken: list[bool] = []
    delete = type(store).delete

    def wake_up(self: object, key: str) -> None:
        woken.append(lease.Held(store, sleeper).is_ours())
        delete(self, key)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store), "delete", wake_up)
    assert unfinished.delete_unfinished(str(tmp_path), found, LIMIT)
    assert woken and not any(woken)
    with pytest.raises(LeaseError):
        lease.Held(store, sleeper).require()


def test_the_marker_of_a_complete_part_is_deleted_before_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f"train/{KEY}/checkpoints/1/weights.bin", OLD)
    put(tmp_path, f"train/{KEY}/checkpoints/1/part-0.json", OLD)
    put(tmp_path, f"train/{KEY}/checkpoints/2/weights.bin", OLD + 100)
    gone: list[str] = []
    store = open_store(str(tmp_path)).at(f"train/{KEY}")
    monkeypatch.setattr(type(store), "delete", lambda self, key: gone.append(key))
    (found,) = unfinished.find_unfinished(str(tmp_path), LIMIT)
    unfinished.delete_unfinished(str(tmp_path), found, LIMIT)
    assert gone[:3] == ["checkpoints/1/part-0.json", "checkpoints/2/weights.bin", "checkpoints/1/weights.bin"]


@pytest.mark.parametrize(("options", "said"), [(("--older-than-days=0.5",), "1 or more"), (("--days=9",), "--days=9")])
def test_wrong_options_name_the_rule(
    tmp_path: Path, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, *options)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_an_invalid_store_ends_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert unfinished.main(["gs://bucket"]) == 2
    assert "s3://BUCKET/PREFIX" in capsys.readouterr().err
