"""The order in which kfp.local runs the tasks of a pipeline, the recipe's, and which of them after a failure.

kfp.local goes through a protobuf map, whose order differs from process to process, so tasks that do not depend on each
other would run in another order each time.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


@contextlib.contextmanager
def tasks_in_order(names: Sequence[str]) -> Iterator[None]:
    """While the block lasts, kfp.local runs the tasks with these names in this order, as their dependencies allow."""
    from kfp.local import graph_utils

    original = graph_utils.topological_sort_tasks
    # kfp.local has no public way to order tasks. What it sorts it goes through from the first to the last.
    graph_utils.topological_sort_tasks = lambda tasks: original(in_order(tasks, names))
    try:
        yield
    finally:
        graph_utils.topological_sort_tasks = original


@contextlib.contextmanager
def independent_tasks_go_on() -> Iterator[None]:
    """While the block lasts, kfp.local runs the tasks that do not depend on one that failed; the run still fails.

    kfp.local's plain orchestrator ends at the first failure; the other one, which it uses for pipelines with exit
    handlers and loops, goes on.
    """
    from kfp.local.orchestrator import dag_orchestrator, enhanced_dag_orchestrator

    original = dag_orchestrator.run_dag
    dag_orchestrator.run_dag = enhanced_dag_orchestrator.run_enhanced_dag
    try:
        yield
    finally:
        dag_orchestrator.run_dag = original


def in_order(tasks: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """KFP's specifications of tasks in the order of their display names; others follow, sorted by their own name."""
    places = {name: place for place, name in enumerate(names)}

    def place(item: tuple[str, Any]) -> tuple[int, str]:
        own_name, specification = item
        return places.get(specification.task_info.name, len(names)), own_name

    return dict(sorted(tasks.items(), key=place))
