"""Which pods belong to an attempt of a job: an operator may still create pods of the attempt before."""

from components.launch.api.resources import Object
from components.launch.api.watch import ObservedObjects
from components.launch.follow.attempt import pods_of_attempt
from components.launch.kinds.kind import ATTEMPT_ANNOTATION, CREATION_ANNOTATION

EARLY, MADE, LATE = (f"2026-01-01T00:00:{second:02}Z" for second in (1, 2, 3))


def object_of(name: str, created: str, attempt: str, creation: str = "") -> Object:
    given = {ATTEMPT_ANNOTATION: attempt, CREATION_ANNOTATION: creation}
    annotations = {name: value for name, value in given.items() if value}
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}


def test_pods_of_an_earlier_attempt_are_left_out_even_if_they_are_younger() -> None:
    resource = object_of("job", MADE, "1")
    ours, old, remade = object_of("a", LATE, "1"), object_of("b", EARLY, "0"), object_of("c", LATE, "0")
    seen = pods_of_attempt(resource, ObservedObjects([ours, old, remade], [remade]))
    assert seen.present == [ours] and not seen.gone


def test_pods_without_an_attempt_are_distinguished_by_time() -> None:
    resource = object_of("job", MADE, "1")
    before, after = object_of("a", EARLY, ""), object_of("b", MADE, "")
    assert pods_of_attempt(resource, ObservedObjects([before, after], [])).present == [after]


def test_a_pod_of_the_resource_before_is_left_out_though_both_are_first_attempts() -> None:
    """A step that runs again counts its attempts from 0 again."""
    resource = object_of("job", MADE, "0", "second")
    ours, remade = object_of("a", LATE, "0", "second"), object_of("b", LATE, "0", "first")
    seen = pods_of_attempt(resource, ObservedObjects([ours, remade], [remade]))
    assert seen.present == [ours] and not seen.gone
