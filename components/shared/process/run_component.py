"""What every component does: the step's work, the hand-over of what it made and its record; failures are reported."""

import os
from collections.abc import Callable
from typing import TypeVar

from components.shared.outputs.library import Library
from components.shared.outputs.run_pointer import record_output
from components.shared.process.perform import Result, perform, reported

Made = TypeVar("Made", bound=Result)
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""By default OpenMP's threads wait for each other in a busy loop. With a small model, whose operations take
microseconds, that is most of the processor time, and on a busy machine, or below a limit on CPU, most of the elapsed
time too: 12 steps of a model with 135M parameters for 16 rows took 1.8 s with one thread on two busy cores, 28.6 s with
two that wait actively, and 2.5 s with two that wait passively."""


def run_component(
    task: str, root: str, work: Callable[[Library], Made], hand_over: Callable[[Library, Made], str]
) -> str:
    """Do a step's work and hand over what it made.

    Args:
        task: the task's name, such as `train-sft`.
        root: URI of the store's root.
        work: makes the output in the library, or finds it there.
        hand_over: fills the component's outputs, and returns the output's URI.

    Returns:
        The URI that `hand_over` returns.

    Raises:
        SystemExit: it failed, which is reported.
    """
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)  # OpenMP reads it when torch is imported, which is later
    library = Library(root)
    made = perform(task, lambda: work(library), root=root)
    with reported(task, root):
        returned = hand_over(library, made)
        record_output(library, task, made.address)
        return returned
