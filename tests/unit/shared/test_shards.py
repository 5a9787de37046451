"""Rows survive a round trip through shards, and damage is reported as damage."""

import gzip
import json
import random
from pathlib import Path

import pytest

from components.shared.errors import DamagedError, InputError
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.outputs.shards import count_rows, pack_rows
from components.shared.rows import Check, Instruction, Message, Rejected, Sample
from components.shared.settings import Settings
from components.shared.step import Product

TEXTS = ["plain", "中文，標點。", "emoji 🙂 and \u2028 separators", 'quotes " and \\', "line\nbreaks\r\n", "\0 nul", ""]


def instruction(number: int, text: str) -> Instruction:
    return Instruction(
        id=f"id-{number}",
        source="source/file.jsonl",
        line=number,
        system=text,
        history=(Message(role="user", content=text), Message(role="assistant", content=text)),
        instruction=text,
        response=text,
        check=Check(kind="exact", answer=text),
    )


def written(root: Path, rows: int, per_shard: int = 4) -> Manifest:
    output = Output(Library(str(root)), Product("step", 1, Instruction.content), Settings(), {})
    writer = RowWriter(output, rows_per_shard=per_shard)
    with output.writing():
        for number in range(rows):
            writer.add(instruction(number, TEXTS[number % len(TEXTS)]))
        writer.close()
        output.write_json("report.json", {"rows": rows})
        return output.finish({"rows": rows})


def test_rows_come_back_in_order_over_several_shards(tmp_path: Path) -> None:
    manifest = written(tmp_path, rows=10)
    assert [shard.name for shard in manifest.shards if shard.rows] == [f"rows/0000{n}.jsonl.gz" for n in range(3)]
    assert [shard.rows for shard in manifest.shards] == [0, 4, 4, 2]
    expected = [instruction(number, TEXTS[number % len(TEXTS)]) for number in range(10)]
    assert list(Library(str(tmp_path)).read_rows(manifest, Instruction)) == expected
    assert count_rows(manifest) == 10 and count_rows(manifest, "rejected") == 0


def test_full_last_shard_leaves_no_empty_one(tmp_path: Path) -> None:
    assert len(written(tmp_path, rows=8).shards) == 3


def test_long_rows_fill_a_shard_before_their_number_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.shared.outputs.output.BYTES_PER_SHARD", 10_000)
    output = Output(Library(str(tmp_path)), Product("step", 1, Rejected.content), Settings(), {})
    writer = RowWriter(output)
    with output.writing():
        for number in range(10):
            writer.add(Rejected(source="s", line=number, reason="r", detail="x" * 4000))
        writer.close()
        manifest = output.finish()
    assert [shard.rows for shard in manifest.shards] == [3, 3, 3, 1]
    assert [row.line for row in Library(str(tmp_path)).read_rows(manifest, Rejected)] == list(range(10))


def test_no_rows(tmp_path: Path) -> None:
    manifest = written(tmp_path, rows=0)
    assert list(Library(str(tmp_path)).read_rows(manifest, Instruction)) == []


def test_equal_rows_give_equal_bytes() -> None:
    rows = [instruction(number, text) for number, text in enumerate(TEXTS)]
    assert pack_rows(rows) == pack_rows(rows)
    data, count = pack_rows(rows)
    lines = gzip.decompress(data).split(b"\n")
    assert count == len(TEXTS) == len(lines) - 1
    assert json.loads(lines[1])["instruction"] == TEXTS[1] and "中文".encode() in lines[1]


def shard(root: Path, manifest: Manifest) -> Path:
    return root / manifest.address / "rows/00000.jsonl.gz"


@pytest.mark.parametrize("kept", [0, 1, 20, 0.5, -1])
def test_truncated_shard(tmp_path: Path, kept: float) -> None:
    manifest = written(tmp_path, rows=300, per_shard=300)
    path = shard(tmp_path, manifest)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept != 0.5 else len(data) / 2)])
    with pytest.raises(DamagedError, match=r"rows/00000\.jsonl\.gz is damaged") as caught:
        list(Library(str(tmp_path)).read_rows(manifest, Instruction))
    assert "delete its manifest.json" in caught.value.remedy


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest, bytes]:
    """A shard of several reads whose text does not repeat, so that a wrong byte is mostly just a wrong letter."""
    root, rng = tmp_path_factory.mktemp("large"), random.Random(0)
    output = Output(Library(str(root)), Product("step", 1, Instruction.content), Settings(), {})
    with output.writing():
        output.write_rows("rows/00000", [instruction(n, f"{rng.getrandbits(4000):x}") for n in range(1800)])
        manifest = output.finish()
    data = shard(root, manifest).read_bytes()
    assert len(data) > 1 << 20
    return root, manifest, data


@pytest.mark.parametrize("place", [0, 12, 0.02, 0.1, 0.3, 0.35, 0.5, 0.7, 0.9, -1])
def test_changed_byte_is_damage_wherever_it_is(large: tuple[Path, Manifest, bytes], place: float) -> None:
    tmp_path, manifest, whole = large
    path, data = shard(tmp_path, manifest), bytearray(whole)
    data[int(place * len(data)) if 0 < place < 1 else int(place)] ^= 0x55
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedError, match="is damaged"):
        list(Library(str(tmp_path)).read_rows(manifest, Instruction))


def test_other_rows_of_the_same_shape_are_damage(tmp_path: Path) -> None:
    manifest = written(tmp_path, rows=4)
    shard(tmp_path, manifest).write_bytes(pack_rows([instruction(9, "other")])[0])
    with pytest.raises(DamagedError, match="the manifest says"):
        list(Library(str(tmp_path)).read_rows(manifest, Instruction))


def test_wrong_rows_name_fields_missing_and_expected(tmp_path: Path) -> None:
    output = Output(Library(str(tmp_path)), Product("collect", 1, Rejected.content), Settings(), {})
    with output.writing():
        output.write_rows("rows/00000", [Rejected(source="s", line=3, reason="broken-json")])
        manifest = output.finish()
    with pytest.raises(InputError) as caught:
        list(Library(str(tmp_path)).read_rows(manifest, Instruction))
    assert not isinstance(caught.value, DamagedError)
    assert "instruction: Field required" in str(caught.value) and "id: Field required" in str(caught.value)
    assert "it has the fields source, line, reason" in caught.value.problem
    assert manifest.address in caught.value.problem and "row 1" in caught.value.problem


def test_one_file_is_checked(tmp_path: Path) -> None:
    manifest = written(tmp_path, rows=1)
    assert json.loads(Library(str(tmp_path)).read_bytes(manifest, "report.json")) == {"rows": 1}
    (tmp_path / manifest.address / "report.json").write_text('{"rows": 2}')
    with pytest.raises(DamagedError, match=r"report\.json"):
        Library(str(tmp_path)).read_bytes(manifest, "report.json")
    with pytest.raises(InputError) as caught:
        Library(str(tmp_path)).read_bytes(manifest, "nothing.json")
    assert "report.json" in caught.value.allowed


def test_a_lone_surrogate_does_not_fail_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Library(str(tmp_path)), Product("step", 1, "made/1"), Settings(), {})
    writer = RowWriter(output)
    rows = [instruction(0, "plain"), instruction(1, "half a pair \ud83d"), instruction(2, "a pair \ud83d\ude00")]
    for row in rows:
        writer.add(row)
    writer.close()
    sample = Sample(benchmark="b", id="1", outputs=("half \udfff",), scores=(0.0,))
    output.write_rows("samples/00000", [sample])
    output.write_json("report.json", {"example": ["half a pair \ud83d"]})
    manifest = output.finish()
    read = [row.instruction for row in Library(str(tmp_path)).read_rows(manifest, Instruction)]
    assert read == ["plain", "half a pair \ufffd", "a pair 😀"]
    assert [row.outputs for row in Library(str(tmp_path)).read_rows(manifest, Sample, "samples")] == [("half \ufffd",)]
    assert json.loads(Library(str(tmp_path)).read_bytes(manifest, "report.json")) == {"example": ["half a pair \ufffd"]}
    assert "2 of 3 rows of a shard contained characters that UTF-8 cannot encode" in capsys.readouterr().err
