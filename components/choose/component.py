"""The choose component."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact, Markdown, Metrics, Output

from components.choose.step import STEP


@dsl.component(base_image=STEP.image.reference, install_kfp_package=False)
def choose(
    root: str,
    task: str,
    settings: dict[str, Any],
    evaluations: dict[str, str],
    seed: str,
    choice: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> str:
    """Choose the learning rate whose models score best on the validation part.

    The tasks of several seeds make the same choice, once; each returns its own seed's model.

    Args:
        root: URI of the store's root.
        task: the task's name in logs and states, such as choose-sft3-all-s0.
        settings: the step's settings (ChooseSettings); those left out have their defaults.
        evaluations: URIs of the evaluations in the store (evaluation/1), by RATE/SEED.
        seed: the seed whose model is returned.

    Returns:
        choice: manifest of the choice (choice/1).
        metrics: the chosen rate.
        summary: the scores of all rates.
        Output: URI of the chosen rate's model with the seed, which is a model reference.
    """
    from components.choose.choose import choose_rate, model_of, read_choice, summarise
    from components.choose.settings import ChooseSettings
    from components.shared.outputs.library import Library
    from components.shared.outputs.manifest import Manifest
    from components.shared.process.perform import hand_over
    from components.shared.process.run_component import run_component

    def hand_over_model(library: Library, made: Manifest) -> str:
        hand_over(made, library, choice, metrics, (summary, summarise(library, made)))
        return model_of(library, read_choice(library, made), int(seed))

    return run_component(
        task,
        root,
        lambda library: choose_rate(
            library,
            ChooseSettings.model_validate(settings),
            {key: library.load(library.address_of(uri)) for key, uri in evaluations.items()},
        ),
        hand_over_model,
    )
