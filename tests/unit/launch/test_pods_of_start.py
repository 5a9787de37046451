"""Which pods belong to a start of a job: an operator may still make pods of the start before."""

from components.launch.attempt import pods_of_start
from components.launch.follow import Seen
from components.launch.kind import ATTEMPT_ANNOTATION, Object

EARLY, MADE, LATE = (f"2026-01-01T00:00:{second:02}Z" for second in (1, 2, 3))


def object_of(name: str, created: str, attempt: str) -> Object:
    annotations = {ATTEMPT_ANNOTATION: attempt} if attempt else {}
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}


def test_pods_of_an_earlier_start_are_left_out_even_when_they_are_made_later() -> None:
    resource = object_of("job", MADE, "1")
    ours, old, remade = object_of("a", LATE, "1"), object_of("b", EARLY, "0"), object_of("c", LATE, "0")
    seen = pods_of_start(resource, Seen([ours, old, remade], [remade]))
    assert seen.present == [ours] and not seen.gone


def test_pods_that_say_no_start_are_told_apart_by_time() -> None:
    resource = object_of("job", MADE, "1")
    before, after = object_of("a", EARLY, ""), object_of("b", MADE, "")
    assert pods_of_start(resource, Seen([before, after], [])).present == [after]
