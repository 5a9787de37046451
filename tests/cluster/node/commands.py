"""Runs other programs, with their output in the error when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.node.errors import NodeError
from tests.cluster.node.places import KUBECONFIG
from tests.cluster.node.programs import KUBERNETES

Argument = str | Path

os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def run(
    command: Sequence[Argument],
    text: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end, `text` on its standard input; returns its standard output.

    `environment` is added to this process's own.

    Raises:
        NodeError: it failed, or is missing.
    """
    words = [str(word) for word in command]
    try:
        whole = {**os.environ, **(environment or {})}
        done = subprocess.run(
            words, input=text, cwd=folder, env=whole, capture_output=True, text=True, check=True, timeout=3600
        )
    except FileNotFoundError as error:
        raise NodeError(f"{words[0]} is not there: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NodeError(f"{' '.join(words[:6])} … failed ({error.returncode}): {error.stderr[-1500:]}") from error
    return done.stdout


def kubectl(*arguments: Argument, text: str | None = None) -> str:
    """Run kubectl on the node as its administrator; returns its standard output."""
    return run([KUBERNETES.file("kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments], text)
