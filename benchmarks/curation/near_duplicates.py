"""How long near-duplicate detection takes, what it needs, how it grows, and whether it is exact.

    python -m benchmarks.curation.near_duplicates --rows 1000000

Every size runs in a process of its own, so that the peak memory is its own. Seconds are of this process's CPU time (one
thread), which other work on the machine doesn't stretch; `wall_seconds` is the whole with making the texts.
"""

import json
import resource
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import typer

from benchmarks.curation.texts import texts
from components.curate.duplicates.near_duplicates import choose_blocks, find_near_duplicates
from components.curate.duplicates.simhash import guard, simhashes
from components.curate.settings import CurateSettings
from components.curate.text.token_hashes import Hashes, TokenHasher
from components.shared.text.words import tokenise

BATCH = 2_000
SAMPLE = 20_000


def fingerprints(rows: int, settings: CurateSettings) -> tuple[Hashes, Hashes, float]:
    """Simhashes and guards of generated texts, and the seconds that took (without generating them)."""
    hasher, source = TokenHasher(), texts(rows)
    hashes, guards, seconds = np.empty(rows, np.uint64), np.empty(rows, np.uint64), 0.0
    for first in range(0, rows, BATCH):
        batch = list(islice(source, BATCH))
        began = time.process_time()
        tokens = [tokenise(text) for text in batch]
        hashes[first : first + BATCH] = simhashes(hasher.batch(tokens), settings.shingle)
        guards[first : first + BATCH] = [
            guard(each, settings.short_tokens, settings.numbers_distinguish) for each in tokens
        ]
        seconds += time.process_time() - began
    return hashes, guards, seconds


def brute_force(hashes: Hashes, guards: Hashes, distance: int) -> list[int]:
    """The row that stays for each row, -1 where it stays itself: every row against every earlier one that stays."""
    kept: list[int] = []
    stays = np.zeros(len(hashes), bool)
    for row in range(len(hashes)):
        near = np.bitwise_count(hashes[:row] ^ hashes[row]) <= distance
        found = np.flatnonzero(near & (guards[:row] == guards[row]) & stays[:row])
        kept.append(int(found[0]) if len(found) else -1)
        stays[row] = not len(found)
    return kept


def measure(rows: int) -> dict[str, float]:
    """One size: seconds of hashing and of the index, rows dropped, peak memory."""
    settings, started = CurateSettings(labeller="rules"), time.perf_counter()
    hashes, guards, hashing = fingerprints(rows, settings)
    began = time.process_time()
    found = find_near_duplicates(hashes, guards, settings.distance)
    indexing = time.process_time() - began
    # The index alone, where no guard separates rows: the hardest case for its buckets.
    began = time.process_time()
    bare = find_near_duplicates(hashes, np.zeros_like(guards), settings.distance)
    unguarded = time.process_time() - began
    return {
        "rows": rows,
        "blocks": choose_blocks(rows, settings.distance),
        "hashing_seconds": round(hashing, 1),
        "index_seconds": round(indexing, 1),
        "dropped": int((found.kept >= 0).sum()),
        "index_seconds_without_guards": round(unguarded, 1),
        "dropped_without_guards": int((bare.kept >= 0).sum()),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def check_exactness(rows: int = SAMPLE) -> dict[str, object]:
    """The index against brute force, with guards and without, for distances 0 to 6."""
    settings = CurateSettings(labeller="rules")
    hashes, guards, _ = fingerprints(rows, settings)
    equal = {
        f"distance {distance}, {name}": find_near_duplicates(hashes, kind, distance).kept.tolist()
        == brute_force(hashes, kind, distance)
        for distance in (0, 3, 6)
        for name, kind in (("guards", guards), ("no guards", np.zeros_like(guards)))
    }
    return {"rows": rows, "equal_to_brute_force": equal}


def main(rows: int = 1_000_000, only: int = 0) -> None:
    """Measure a quarter, a half and all of `rows`, and check a sample; `only` is for the processes of one size."""
    if only:
        print(json.dumps(measure(only)))
        return
    results = [
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.curation.near_duplicates", "--only", str(size)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for size in (rows // 4, rows // 2, rows)
    ]
    print(json.dumps({"sizes": results, "exactness": check_exactness(min(SAMPLE, rows))}, indent=1))


if __name__ == "__main__":
    typer.run(main)
