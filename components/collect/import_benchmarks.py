"""Import evaluation sets from their original files into questions."""

import hashlib
import heapq
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from components.collect.encodings import AUTO, as_utf8
from components.collect.files import DataFile, digest_files, find_files, is_hidden
from components.collect.importers.importer import Importer, Member
from components.collect.importers.registry import IMPORTERS
from components.collect.read_sources import STEP, VERSION
from components.collect.settings import BenchmarkSettings, BenchmarkSource
from components.collect.streams import PIECE
from components.collect.unpack import unpack
from components.shared.errors import EmptyDataError, InputError
from components.shared.log import track
from components.shared.manifest import Manifest
from components.shared.output import Output, RowWriter
from components.shared.rows import Question
from components.shared.store import join

ZIP_SUFFIX = ".zip"


@dataclass(frozen=True)
class OpenBenchmark:
    """An evaluation set whose files are found."""

    source: BenchmarkSource
    importer: Importer
    files: list[DataFile]


class Imported(NamedTuple):
    """What came of one evaluation set: questions asked (`test`), few-shot examples (`dev`), subjects."""

    name: str
    importer: str
    subjects: int
    test: int
    dev: int


def import_benchmarks(root: str, settings: BenchmarkSettings) -> Manifest:
    """Import every evaluation set.

    Args:
        root: the store's root URI.
        settings: the evaluation sets, and which questions to draw.

    Returns:
        Manifest of content `question/1` with Question rows in `rows/` and `report.json`: for each benchmark its
        importer, questions by split, and subjects.

    Raises:
        InputError: files are not there, or not what was published.
        EmptyDataError: a benchmark has no question to ask.
        StoreError: a store refuses or cannot be reached.
    """
    opened = [_open(source) for source in settings.benchmarks]
    parents = {item.source.name: digest_files(item.source.uri, item.files) for item in opened}
    output = Output(root, STEP, VERSION, settings, parents)
    if (done := output.manifest()) is not None:
        return done
    with output.writing():
        writer = RowWriter(output)
        imported = [_import(item, settings.seed, writer) for item in opened]
        writer.close()
        output.write_json("report.json", {"benchmarks": [facts._asdict() for facts in imported]})
        counts = {f"test_{facts.name}": facts.test for facts in imported}
        counts |= {f"dev_{facts.name}": facts.dev for facts in imported}
        return output.finish(Question.content, {"questions": writer.rows, "benchmarks": len(imported), **counts})


def _open(source: BenchmarkSource) -> OpenBenchmark:
    importer = IMPORTERS[source.importer_name]
    files = find_files(source.uri, lambda name: bool(importer.wants.search(name)) or name.endswith(ZIP_SUFFIX))
    return OpenBenchmark(source, importer, files)


def _import(item: OpenBenchmark, seed: int, writer: RowWriter) -> Imported:
    splits, subjects, seen = Counter[str](), set(), set()
    questions = track(_questions(item), STEP, item.source.name, unit="questions")
    for question in draw(questions, item.source.limit, seed):
        if question.id in seen:
            raise InputError(
                f"benchmark {item.source.name!r}: two questions are called {question.id!r}",
                remedy=f"name in `uri` the files of one set only: it holds {', '.join(f.name for f in item.files)}",
            )
        seen.add(question.id)
        splits[question.split] += 1
        subjects.add(question.subject)
        writer.add(question)
    if not splits["test"]:
        raise EmptyDataError(
            f"benchmark {item.source.name!r}: {item.source.uri} has no question to ask",
            rule=f"importer {item.importer.name!r} reads files whose path has {item.importer.wants.pattern}",
            remedy="name the original file or folder in `uri`, the right `importer`, and subjects that are there",
        )
    return Imported(item.source.name, item.importer.name, len(subjects), splits["test"], splits["dev"])


def _questions(item: OpenBenchmark) -> Iterator[Question]:
    """The questions of all subjects that are wanted."""
    for member in _members(item.files):
        match = item.importer.wants.search(member.name)
        if match is None:
            continue
        for question in item.importer.read(item.source.name, member, match):
            if not item.source.subjects or question.subject in item.source.subjects:
                yield question


def draw(questions: Iterator[Question], limit: int | None, seed: int) -> Iterator[Question]:
    """The questions, in their order; with a limit, so many asked ones drawn at random, and all few-shot examples.

    A question is drawn by the hash of its id and the seed, so a smaller limit draws part of what a larger one draws,
    and memory holds no more questions than the limit.
    """
    if limit is None:
        yield from questions
        return
    drawn: list[tuple[int, int, Question]] = []
    for place, question in enumerate(questions):
        if question.split == "dev":
            yield question
            continue
        rank = int.from_bytes(hashlib.sha256(f"{seed}:{question.id}".encode()).digest())
        add = heapq.heappush if len(drawn) < limit else heapq.heappushpop
        add(drawn, (-rank, place, question))
    yield from (question for _, _, question in sorted(drawn, key=lambda item: item[1]))


def _members(files: list[DataFile]) -> Iterator[Member]:
    """The original files: those of a folder, or those inside a zip, in the order of their names.

    Hidden members of a zip, such as a Mac's `__MACOSX/._x.csv`, are passed over as hidden files are in a folder.
    """
    for file in files:
        if not file.name.endswith(ZIP_SUFFIX):
            yield Member(file.name, file.uri, file.text_chunks)
            continue
        with ExitStack() as stack:
            archive = _open_zip(file, stack.enter_context(file.local()))
            stack.enter_context(archive)
            for name in sorted(archive.namelist()):
                if not name.endswith("/") and not is_hidden(name):
                    yield Member(name, file.uri, partial(_unzipped, archive, name, file))


def _open_zip(file: DataFile, path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise _damaged(file, error) from error


def _unzipped(archive: zipfile.ZipFile, name: str, file: DataFile) -> Iterator[bytes]:
    try:
        with archive.open(name) as member:
            yield from as_utf8(unpack(iter(lambda: member.read(PIECE), b""), join(file.uri, name)), AUTO)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise _damaged(file, error) from error
    except (RuntimeError, NotImplementedError) as error:
        # zipfile's errors for a member that wants a password, and for a way of packing that it does not know.
        raise InputError(
            f"{file.uri}: {name} cannot be unpacked: {error}", remedy="unpack it, and name the folder in `uri`"
        ) from error


def _damaged(file: DataFile, error: Exception) -> InputError:
    return InputError(f"{file.uri} is a damaged zip: {error}", remedy="copy the file again; `unzip -t` checks it")
