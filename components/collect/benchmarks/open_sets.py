"""Open evaluation sets: their files, found and digested."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.collect.files.data_file import DataFile, digest_files, find_files
from components.collect.importers.importer import Importer, RejectedQuestion
from components.collect.importers.open_originals import ZIP_SUFFIX, open_originals
from components.collect.importers.registry import IMPORTERS
from components.collect.set_settings import BenchmarkSource, CheckedSource
from components.collect.settings import QuestionSettings
from components.collect.sources.open_source import OpenSource, open_source
from components.shared.outputs.manifest import Parent
from components.shared.rows import Question, Rejected


@dataclass(frozen=True)
class OpenBenchmark:
    """An evaluation set and its original files, found and digested."""

    source: BenchmarkSource
    importer: Importer
    files: list[DataFile]
    parent: Parent

    def questions(self) -> Iterator[Question | Rejected]:
        """The questions of the selected subjects, and the rows that are left out."""
        for member in open_originals(self.files):
            match = self.importer.wants.search(member.name)
            if match is None:
                continue
            for item in self.importer.read(self.source.name, member, match):
                if isinstance(item, RejectedQuestion):
                    source = f"{self.source.name}/{member.name}"
                    yield Rejected(source=source, line=item.line, reason=item.reason, detail=item.detail)
                elif not self.source.subjects or item.subject in self.source.subjects:
                    yield item


OpenSet = OpenBenchmark | OpenSource


def open_sets(settings: QuestionSettings) -> list[OpenSet]:
    """Find and digest the files of every evaluation set. Raises InputError and StoreError."""
    return [
        open_source(source) if isinstance(source, CheckedSource) else _open_originals(source)
        for source in settings.benchmarks
    ]


def _open_originals(source: BenchmarkSource) -> OpenBenchmark:
    importer = IMPORTERS[source.importer_name]
    files = find_files(source.uri, lambda name: bool(importer.wants.search(name)) or name.endswith(ZIP_SUFFIX))
    return OpenBenchmark(source, importer, files, digest_files(source.uri, files))
