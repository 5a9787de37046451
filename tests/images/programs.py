"""Which image runs which program: every command that the product, its charts or an operator starts in a pod."""

EXECUTOR = ("python", "-m", "kfp.dsl.executor_main", "--help")
"""How Kubeflow runs a step."""

MODULES = {
    "components.clean_up.unfinished": ("launcher",),
    "components.shared.store.try_store": ("launcher", "ray", "train"),
    "components.synthesize.generate": ("ray",),
    "components.probe.draw": ("ray",),
    "components.bridge.write": ("ray",),
    "components.critique.write": ("ray",),
    "components.launch.here.torchrun": ("train",),
    "components.train.engine.run_training": ("train",),
    "components.models.place_model": ("launcher", "train"),
    "components.rewards.checks.math_worker": ("ray", "train"),
    "components.shared.sandbox.child": ("ray", "train"),
    "pipelines.cli.main": ("launcher", "ray", "train"),
    "pipelines.doctor.try_cluster": ("launcher",),
    "pipelines.doctor.try_job": ("ray", "train"),
}
"""Tutelage's programs that run in pods, and their images."""

ELSEWHERE = ("pipelines.local.run_pipeline", "pipelines.local.run_preview", "pipelines.local.run_step", "demo.")
"""Programs that no pod runs: a run and a preview on one machine, and the demo's makers."""

SPOKEN_TO = ("components.rewards.checks.math_worker", "components.shared.sandbox.child", "pipelines.doctor.try_job")
"""Programs that only another process starts, which talks with them: they are imported."""

COMMANDS = {
    "launcher": (EXECUTOR, ("tutelage", "--help")),
    # KubeRay starts head and workers with ray start, and the submitter with ray job submit; wget asks for their health.
    "ray": (
        ("ray", "start", "--help"),
        ("ray", "job", "submit", "--help"),
        ("ray", "health-check", "--help"),
        ("wget", "--help"),
    ),
    # transformers serve: the chart of a teacher without vLLM.
    "train": (EXECUTOR, ("transformers", "serve", "--help"), ("g++", "--version")),
}
"""Other programs, by image."""


def commands(image: str) -> dict[str, tuple[str, ...]]:
    """Every command that must work in an image, by what a test calls it."""
    own = {module: command_of(module) for module, images in MODULES.items() if image in images}
    return own | {" ".join(command): command for command in COMMANDS[image]}


def command_of(module: str) -> tuple[str, ...]:
    """How a test starts one of Tutelage's programs."""
    if module in SPOKEN_TO:
        return ("python", "-c", f"import {module}")
    return ("python", "-m", module, "--help")
