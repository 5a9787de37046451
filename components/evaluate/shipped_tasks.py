"""Worked examples that lm-evaluation-harness ships in the YAML files of its tasks."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from components.shared.errors import ModelError


def shipped_task(path: str) -> dict[str, Any]:
    """The YAML of one task, by its path in `lm_eval/tasks`; empty when it does not exist.

    The package is located without importing it, which takes seconds.

    Raises:
        ModelError: lm-eval is not installed.
    """
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise ModelError("lm-eval is not installed", remedy="install tutelage[evaluate]")
    file = Path(spec.origin).parent / "tasks" / path
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.exists() else {}


def shipped_samples(path: str) -> list[dict[str, str]]:
    """The worked examples of one task, in order."""
    return list(shipped_task(path).get("fewshot_config", {}).get("samples", []))
