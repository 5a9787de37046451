"""The clean-up component, the exit handler of a pipeline on a cluster."""

from kfp import dsl


@dsl.component(base_image="tutelage/launcher:0.1.0", install_kfp_package=False)
def clean_up(namespace: str = "") -> int:
    """Delete what a run has left on the cluster, after success, failure and cancel alike.

    Args:
        namespace: where its jobs are; empty: the namespace of this step's pod.

    Returns:
        How many jobs were deleted.
    """
    from components.clean_up.clean_up import STEP, clean_up_run
    from components.shared.step import perform

    return len(perform(STEP, lambda: clean_up_run(namespace)).deleted)
