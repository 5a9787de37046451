"""Rewrites the samples in `k8s/samples`; each comment stays above its line.

    python -m tests.manifests.write_samples

Prints the comments whose line is gone: place those by hand.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from components.launch.api.resources import Object
from tests.manifests.sample_jobs import SAMPLES, samples

Place = tuple[str, int]
"""A line, and which of the equal lines of the file it is."""


def main() -> None:
    """Write all samples."""
    for name, manifest in samples().items():
        lost = rewrite(SAMPLES / name, manifest)
        print(name)
        for comment in lost:
            print(f"  lost: {comment}", file=sys.stderr)


def rewrite(path: Path, manifest: Object) -> list[str]:
    """Write a manifest, with the comments that the file holds; returns those whose line is gone."""
    comments = comments_of(path.read_text()) if path.exists() else {}
    lines: list[str] = []
    for place, line in _places(as_yaml(manifest).splitlines()):
        lines += [*comments.pop(place, []), line]
    path.write_text("\n".join([*lines, ""]))
    return [comment for block in comments.values() for comment in block]


class PlainDumper(yaml.SafeDumper):
    """Writes equal parts out, where the usual one refers to the first by an alias."""

    def ignore_aliases(self, data: object) -> bool:
        """Never write an alias."""
        return True


def as_yaml(manifest: Object) -> str:
    """A manifest as one would write it by hand."""
    return yaml.dump(manifest, Dumper=PlainDumper, sort_keys=False, width=120)


def comments_of(text: str) -> dict[Place, list[str]]:
    """Comment lines by the line that they precede."""
    found: dict[Place, list[str]] = {}
    waiting: list[str] = []
    plain = [line for line in text.splitlines() if not _is_comment(line)]
    places = iter(_places(plain))
    for line in text.splitlines():
        if _is_comment(line):
            waiting.append(line)
            continue
        place, _ = next(places)
        if waiting:
            found[place], waiting = waiting, []
    return found


def _places(lines: list[str]) -> Iterator[tuple[Place, str]]:
    seen: Counter[str] = Counter()
    for line in lines:
        seen[line] += 1
        yield (line, seen[line]), line


def _is_comment(line: str) -> bool:
    return bool(re.match(r"\s*#", line))


if __name__ == "__main__":
    main()
