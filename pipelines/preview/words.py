"""Numbers of a preview in words, for the terminal and the page."""

from collections.abc import Mapping

from components.shared.progress_event import duration
from components.shared.rows import Scores
from components.shared.text.counted import counted
from pipelines.preview.document import PreviewDocument, ShownResponse, ShownSource, ShownStep


def facts_of(response: ShownResponse) -> list[str]:
    """How a response ended, its tokens, and its scores."""
    how = {"length": "truncated at the token limit", "error": "failed"}.get(response.finish, "")
    tokens = counted(response.tokens_out, "token") if response.tokens_out else ""
    return [fact for fact in (how, tokens, *(_scores(response.scores) if response.scores else ())) if fact]


def _scores(scores: Scores) -> list[str]:
    named = {
        "perplexity": None if scores.perplexity is None else f"{scores.perplexity:.4g}",
        "safety": _number(scores.safety),
        "quality": _number(scores.quality),
        "check": None if scores.checked is None else ("right" if scores.checked else "wrong"),
        "total": _number(scores.total),
    }
    return [f"{name} {value}" for name, value in named.items() if value is not None]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def source_in_words(source: ShownSource) -> str:
    """How much of a source was considered."""
    if source.records is None:
        return f"the first {counted(source.considered, 'record')}; how many there are is not known before a run"
    of = f"{'' if source.exact else 'more than '}{source.records:,}"
    return f"the first {source.considered:,} of {of} records" if source.considered < source.records else f"all {of}"


def took(step: ShownStep) -> str:
    """How long a step took when it was made, and whether this preview reused it."""
    return f"{step.seconds:.1f} s{', reused' if step.reused else ''}"


def money(amount: float, currency: str) -> str:
    """A price; empty without a price list."""
    if not currency:
        return ""
    return f"{amount:,.2f} {currency}" if amount >= 1 else f"{amount:.2g} {currency}"


def total_price(document: PreviewDocument) -> str:
    """The price of the preview and of the complete run, in each currency; empty without a price list."""
    here: dict[str, float] = {}
    full: dict[str, float] = {}
    for estimate in document.estimates:
        if estimate.currency:
            here[estimate.currency] = here.get(estimate.currency, 0.0) + estimate.price
            full[estimate.currency] = full.get(estimate.currency, 0.0) + estimate.full_price
    if not here:
        return ""
    least = "at least" if document.at_least else "about"
    return f"{_sums(here)} for this preview, {least} {_sums(full)} for a complete run"


def _sums(prices: Mapping[str, float]) -> str:
    return " and ".join(money(price, currency) for currency, price in prices.items())


def about(seconds: float | None) -> str:
    """An estimated time; a dash where no rate was measured."""
    return "–" if seconds is None else duration(seconds)


def headline(document: PreviewDocument) -> str:
    """The result in one sentence."""
    learnt, rows = document.learnt, len(document.rows)
    names = [name for row in document.rows for response in row.responses for name in response.learnt]
    parts = {"SFT": "SFT row", "KTO": "KTO row", "pair, chosen": "pair"}
    sft, kto, pairs = (counted(sum(name.startswith(part) for name in names), noun) for part, noun in parts.items())
    return f"learnt from {learnt} of {counted(rows, 'row')}: {sft}, {kto}, {pairs}"
