"""A preview on a terminal. Text of data sets and models is shown without control characters and without markup."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from components.shared.text.counted import counted
from pipelines.preview.document import PreviewDocument, ShownResponse, ShownRow
from pipelines.preview.printable import one_line, printable
from pipelines.preview.words import about, facts_of, headline, money, source_in_words, took, total_price

STYLES = {"best": "bold green", "worst": "red", "": "bold"}
INDENT = 2
LINES = 3
"""Of a text, about; the page has all of it."""


def print_preview(document: PreviewDocument, console: Console) -> None:
    """Print the rows, then what was dropped, the steps, and the estimate for the complete run."""
    for number, row in enumerate(document.rows, start=1):
        _print_row(row, f"{number} of {len(document.rows)}", console)
    console.print()
    for table in (_sources(document), _drops(document), _steps(document), _estimates(document)):
        if table.row_count:
            console.print(table)
    _print_lines([f"price: {price}"] if (price := total_price(document)) else [], "", console)
    _print_lines([f"note: {note}" for note in document.notes], "dim", console)
    _print_lines([f"warning: {warning}" for warning in document.warnings], "yellow", console)
    console.print(Text(headline(document), "bold"))


def _print_row(row: ShownRow, number: str, console: Console) -> None:
    kind = ", ".join(part for part in (row.type, " / ".join(row.labels)) if part)
    title = f"{number} · {row.source}:{row.line}{f' · {kind}' if kind else ''}"
    console.print()
    console.print(Rule(Text(printable(title, keep=""), "cyan"), align="left", style="dim"))
    width = console.width
    for name, text in _prompt(row):
        console.print(Text.assemble((name, "dim"), one_line(text, _columns(width) - len(name))))
    for response in row.responses:
        _print_response(response, console)
    for flag in row.flags:
        console.print(Text.assemble((f"{flag.name}: ", "yellow"), (flag.meaning, "dim")))
    if row.dropped:
        console.print(Text.assemble(("dropped by ", "bold red"), one_line(row.dropped, _columns(width))))


def _columns(width: int) -> int:
    """The columns of a text: a tenth of them is lost where lines end between words."""
    return LINES * width * 9 // 10


def _prompt(row: ShownRow) -> Iterator[tuple[str, str]]:
    if row.system:
        yield "system: ", row.system
    for message in row.history:
        yield f"{message.role}: ", message.content
    yield "instruction: ", row.instruction
    if row.check:
        yield "check: ", row.check


def _print_response(response: ShownResponse, console: Console) -> None:
    role = f" {response.role}" if response.role else ""
    name = f"{response.origin}{role}: "
    width = console.width - INDENT
    shown = one_line(response.text, _columns(width) - len(name)) or "(empty)"
    console.print(Padding(Text.assemble((name, STYLES[response.role]), shown), (0, 0, 0, INDENT), expand=False))
    learnt = f"→ {' and '.join(response.learnt)}" if response.learnt else "→ not learnt"
    why = f"{learnt}: {response.why}" if response.why else ""
    for line in (" · ".join(facts_of(response)), why):
        if line:
            console.print(Padding(Text(line, "dim"), (0, 0, 0, 2 * INDENT), expand=False))


def _print_lines(lines: list[str], style: str, console: Console) -> None:
    for line in lines:
        console.print(Text(line, style))


def _sources(document: PreviewDocument) -> Table:
    table = Table("source", "considered", "usable rows", title="What the rows were chosen from", title_justify="left")
    for source in document.sources:
        table.add_row(Text(source.name), source_in_words(source), f"{source.usable:,}")
    return table


def _drops(document: PreviewDocument) -> Table:
    table = Table("step", "reason", "rows", "the first", title="Dropped of those", title_justify="left")
    for drop in document.drops:
        example = Text(one_line(drop.example, 160))
        table.add_row(drop.step, drop.reason, f"{drop.rows:,} of {drop.of:,}", example)
    return table


def _steps(document: PreviewDocument) -> Table:
    table = Table("task", "rows", "took", "tokens in, out", title="This preview", title_justify="left")
    for step in document.steps:
        tokens = f"{step.tokens_in:,}, {step.tokens_out:,}" if step.tokens_in or step.tokens_out else ""
        table.add_row(step.task, f"{step.rows:,}", took(step), tokens)
    return table


def _estimates(document: PreviewDocument) -> Table:
    least = "at least " if document.at_least else ""
    title = f"A complete run, from this preview: {least}{counted(document.full_rows, 'row')}"
    table = Table("requests", "here", "run", "tokens in, out", "time", title=title, title_justify="left")
    if document.priced:
        table.add_column("price")
    for each in document.estimates:
        table.add_row(
            each.what,
            f"{each.requests:,}",
            f"{each.full:,}",
            f"{each.full_tokens_in:,}, {each.full_tokens_out:,}",
            about(each.seconds),
            *([money(each.full_price, each.currency)] if document.priced else []),
        )
    return table
