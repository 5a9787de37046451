"""How often a request to S3 is attempted before it fails."""

import os

from components.shared.errors import SettingsError

ATTEMPTS_VARIABLE = "AWS_MAX_ATTEMPTS"
ATTEMPTS = 5
"""Attempts of one request, without the variable."""
PATIENT_ATTEMPTS = 20
"""On a cluster, where hours of work depend on a request: with botocore's pauses, 20 attempts outlast two minutes."""


def attempts() -> int:
    """How often a request is attempted before it fails. Raises SettingsError."""
    value = os.environ.get(ATTEMPTS_VARIABLE) or str(ATTEMPTS)
    if not value.isdigit() or int(value) < 1:
        raise SettingsError(
            f"{ATTEMPTS_VARIABLE}={value!r} is not a valid number of attempts",
            rule="an integer, 1 or more",
            remedy=f"correct {ATTEMPTS_VARIABLE}, or unset it (default: {ATTEMPTS})",
        )
    return int(value)
