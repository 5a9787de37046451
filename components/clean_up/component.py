"""The clean-up component, the exit handler of a pipeline on a cluster."""

from kfp import dsl

from components.clean_up.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def clean_up(namespace: str = "") -> int:
    """Delete what a run has left on the cluster, after success, failure and cancel alike.

    Args:
        namespace: where its jobs are; empty: the namespace of this step's pod.

    Returns:
        Output: the number of jobs deleted.
    """
    from components.clean_up.clean_up import clean_up_run
    from components.shared.process.perform import perform

    return len(perform("clean-up", lambda: clean_up_run(namespace)).deleted)
