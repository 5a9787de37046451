"""Which namespace a command uses: one rule for all commands that access a cluster."""

import os
from dataclasses import dataclass

from components.launch.api.connect import DEFAULT_NAMESPACE, named_context_namespace, own_namespace
from pipelines.kubeflow.connection import NAMESPACE_VARIABLE

OF_CONTEXT = "the kubeconfig's current context"


@dataclass(frozen=True)
class Namespace:
    """The namespace of a run and its steps, and what names it; `named` is False when nothing does."""

    name: str
    source: str
    named: bool = True

    @property
    def guessed(self) -> bool:
        """Whether only the kubeconfig names it, which says nothing about Kubeflow."""
        return self.source == OF_CONTEXT

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"

    def with_jobs(self, jobs: str) -> str:
        """The namespace, and that of the jobs where the placement names another one."""
        beside = f"; jobs: {jobs} (placement.pods.namespace)" if jobs and jobs != self.name else ""
        return f"{self}{beside}"


def choose_namespace(given: str = "", of_run: str = "") -> Namespace:
    """The first namespace that is set: by --namespace, the run, the variable, this pod, or the kubeconfig's context.

    Args:
        given: the value of `--namespace`.
        of_run: the namespace that the run is known to be in; it takes precedence over the environment.
    """
    named = (
        (given, "--namespace"),
        (of_run, "the run's"),
        (os.environ.get(NAMESPACE_VARIABLE, ""), NAMESPACE_VARIABLE),
        (own_namespace(), "this pod's"),
        (named_context_namespace(), OF_CONTEXT),
    )
    found = next(((name, source) for name, source in named if name), None)
    if found is None:
        return Namespace(DEFAULT_NAMESPACE, f"nothing names one: --namespace or {NAMESPACE_VARIABLE} does", named=False)
    return Namespace(*found)
