"""Messages for the person at the terminal, on standard error: standard output is for what was asked for."""

from rich.console import Console


def say(text: str, style: str | None = None) -> None:
    """Print a message as it is."""
    Console(stderr=True, soft_wrap=True).print(text, style=style, markup=False, highlight=False)
