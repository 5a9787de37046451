"""Times as the Kubernetes API writes them (RFC 3339), and as seconds since the epoch."""

from datetime import UTC, datetime


def moment(text: str | None) -> float | None:
    """Seconds since the epoch; None of nothing. A fraction of nanoseconds is cut to microseconds."""
    return datetime.fromisoformat(text).timestamp() if text else None


def written(seconds: float) -> str:
    """As the API writes it, in whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
