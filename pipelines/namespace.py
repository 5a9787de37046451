"""Which namespace is meant: one rule for all commands that look into a cluster."""

import os
from dataclasses import dataclass

from components.launch.connect import DEFAULT_NAMESPACE, named_context_namespace, own_namespace
from pipelines.kubeflow import NAMESPACE_VARIABLE

OF_CONTEXT = "the kubeconfig's current context"


@dataclass(frozen=True)
class Namespace:
    """The namespace of a run and its steps, and who names it; `named` is False where nobody does."""

    name: str
    source: str
    named: bool = True

    @property
    def guessed(self) -> bool:
        """Whether nothing but the kubeconfig names it, which knows nothing of Kubeflow."""
        return self.source == OF_CONTEXT

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"

    def with_jobs(self, jobs: str) -> str:
        """The same, and where jobs run if the placement says that it is elsewhere."""
        beside = f"; jobs: {jobs} (placement.pods.namespace)" if jobs and jobs != self.name else ""
        return f"{self}{beside}"


def choose_namespace(given: str = "", of_run: str = "") -> Namespace:
    """The first that is named: by --namespace, the run itself, the variable, this pod, the kubeconfig's context.

    Args:
        given: what a person asks for, `--namespace`.
        of_run: the namespace of the run that a command is about: a fact, so it goes before what the environment says.
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
