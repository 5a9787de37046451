"""Wording that a native engineer would not write does not come back, in code, messages, tests and pages."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXTS = (
    ".py",
    ".md",
    ".gotmpl",
    ".yaml",
    ".tpl",
    ".txt",
    ".sh",
    ".toml",
    ".jinja",
    ".html",
    ".hcl",
    "Makefile",
    "Dockerfile",
)
INSTEAD = {
    r"\banew\b": "again, from scratch",
    r"\blies? (?:at|in|below|beside|elsewhere|there|here)\b": "is stored at, is in",
    r"\bstands? (?:in|at|beside|above|below|once|for nothing|there|here) ": "is in, must be unique",
    r"\b(?:is|are|was|were) told\b": "is reported, is logged",
    r"\b(?:is|are) no (?:name|number|folder|manifest|comparison|report|placement|base URL|JSON)\b": "is not a valid …",
    r"\bto mirror\b.*\bhas to\b|\bhas to mirror\b": "the images that a site must mirror",
    r"\bis borne\b|\bbears? (?:it|that|no)\b": "grace period, tolerates",
    r"\bhas heard of\b|\bnot heard of\b": "not yet acknowledged",
    r"\bcut off\b|\bcutoff\b|\bcut short\b": "truncated; max_length for tokens",
    r"\bapart_from_key\b|\bapart from the key\b": "not in the cache key",
    r"\bKeeper\b": "reconciler, controller",
    r"\bclass (?:Said|Seen)\b": "Reported, Observed",
    r"\bdef forget\w*\b|\bforgets?\b": "delete",
    r"\bwhole (?:checkpoints?|outputs?|manifests?|models?)\b|\b(?:output|checkpoint) is whole\b": "complete",
    r"\bwithout a word\b": "silently",
    r"\bsays? so\b": "reports it",
    r"\bsee to it\b|\bsees to it\b": "ensure",
    r"\bin the words of who\b|\bof a person's\b": "the user's",
    r"\btried again\b": "retried",
    r"\b(?:in|out of) reach\b": "reachable, unreachable",
    r"\b(?:was|were) seen to\b": "was observed to",
    r"\bspeaks? (?:to|of)\b": "talks to, mentions",
    r"\bthe face of\b|\bstep's face\b": "the contract, the interface",
    r"\bstands? still\b": "pauses",
    r"\bfor ever\b|\bas ever\b": "indefinitely, as before",
    r"\bis no (?:fault|difference|matter|part of|traceback|bucket)\b": "is not a …",
    r"\bas far as it uses it\b": "the part that it uses",
}
"""Patterns, and what to write instead."""


@cache
def texts() -> dict[str, str]:
    """The files of the repository that people read, by name."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    ours = [
        file
        for file in listed
        if file.endswith(TEXTS)
        and not file.startswith(("demo/instructions/", "demo/tasks/word_lists.py", "tests/golden/"))
    ]
    paths = [path for file in ours if (path := ROOT / file) != Path(__file__) and path.is_file()]
    return {str(path.relative_to(ROOT)): path.read_text() for path in paths}


@pytest.mark.parametrize("pattern", INSTEAD)
def test_wording(pattern: str) -> None:
    # Most files have none: a search of the text takes half the time of a search of its lines.
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts().items()
        if re.search(pattern, text)
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert not found, f"write instead: {INSTEAD[pattern]}\n" + "\n".join(found)
