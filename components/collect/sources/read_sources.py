"""Read instructions from all sources into the output: good rows to `rows/`, bad ones to `rejected/`."""

from collections.abc import Callable

from components.collect.settings import DatasetSettings
from components.collect.source_settings import Source
from components.collect.sources.hold_out import HELD_OUT, Holding, open_holdout
from components.collect.sources.open_source import OpenSource, open_source
from components.collect.sources.read_source import read_source, too_many_rejected
from components.collect.sources.tally import SourceTally, counts_of, unread_in_words
from components.collect.step import INSTRUCTIONS, STEP
from components.shared.errors import EmptyDataError
from components.shared.log import Progress, say
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output, RowWriter
from components.shared.rows import Rejected
from components.shared.text.counted import counted


def read_sources(
    library: Library, settings: DatasetSettings, open_one: Callable[[Source], OpenSource] = open_source
) -> Manifest:
    """Collect instructions from every source.

    Args:
        library: where outputs are stored.
        settings: the sources, the limits on bad rows, and what is held out.
        open_one: opens a source.

    Returns:
        Manifest of content `instruction/1`, with Instruction rows in `rows/`, Rejected rows in `rejected/`, Question
        rows that are held out in `held_out/`, and `report.json`: for each source its files, formats, shapes, rows,
        rows held out, rejected records by reason, labels, and the fields and files that are not read.

    Raises:
        InputError: a source is missing or unreadable, or too many of its records are rejected.
        EmptyDataError: no source has a good row, or no row can be held out.
        StoreError: a store refuses access or is unreachable.
    """
    sources = [open_one(source) for source in settings.sources]
    output = Output(library, INSTRUCTIONS, settings, {opened.source.name: opened.parent for opened in sources})

    def work() -> Manifest:
        tallies = Writing(output, settings).read_all(sources)
        output.write_json("report.json", {"sources": [tally.report() for tally in tallies]})
        return output.finish(counts_of(tallies))

    return output.made(work)


class Writing:
    """Writes all parts of the output: `rows/`, `rejected/` and `held_out/`."""

    def __init__(self, output: Output, settings: DatasetSettings) -> None:
        self._settings = settings
        self._place = f"{output.library.uri(output.address)}/rejected"
        self._rows, self._rejected = RowWriter(output), RowWriter(output, "rejected")
        self._held_out = RowWriter(output, HELD_OUT)
        self._progress = Progress(STEP.name, "instructions", None)

    def read_all(self, sources: list[OpenSource]) -> list[SourceTally]:
        """Read the sources one after the other."""
        tallies = [self._read(source, open_holdout(self._settings, source)) for source in sources]
        for writer in (self._rows, self._rejected, self._held_out):
            writer.close()
        self._progress.finish()
        self._require_rows(tallies)
        return tallies

    def _read(self, opened: OpenSource, holding: Holding | None) -> SourceTally:
        tally = SourceTally(opened.source.name, opened.unread)
        if opened.unread:
            say(STEP.name, f"source {opened.source.name!r}: {unread_in_words(opened.unread)}")
        for item in read_source(opened, self._settings, tally, opened.source.limit):
            self._progress.advance()
            if isinstance(item, Rejected):
                self._rejected.add(item)
                tally.reject(item)
            elif holding is not None and holding.takes(item):
                if (question := holding.question(item)) is not None:
                    self._held_out.add(question)
                tally.hold_out(repeated=question is None)
            else:
                self._rows.add(item.row)
                tally.add(item.row)
        if (error := too_many_rejected(tally, self._settings, self._place)) is not None:
            self._rejected.close()
            raise error
        for line in tally.notes():
            say(STEP.name, line)
        return tally

    def _require_rows(self, tallies: list[SourceTally]) -> None:
        if not self._rows.rows:
            why = "; ".join(tally.emptiness() for tally in tallies)
            raise EmptyDataError(
                f"no source has a usable row: {why}",
                remedy=f"{tallies[0].remedies()}, and check the URIs"
                + (f"; the rejected records are listed in {self._place}" if self._rejected.rows else ""),
            )
        if self._settings.holdout is not None and not self._held_out.rows:
            checked = sum(tally.checked for tally in tallies)
            raise EmptyDataError(
                f"holdout: no row is held out; the sources have {counted(checked, 'row')} with a check",
                rule="rows with a check are held out, by a hash of their template or instruction",
                remedy="raise `share` or change `seed`"
                if checked
                else "set the `check` of the sources to hold out from",
            )
