"""The sampling of probes: that of the rollouts of the training by RL.

A pass rate is that of a policy: probed with another temperature, length or prompt, problems would be routed by what the
training never draws. So the recipe declares the sampling once, in `train.rl`, and probes take it from there. What a
recipe declares for the probe as well has to be equal.
"""

from collections.abc import Iterator

from components.models.generators.generator import Sampling
from components.probe.settings import ProbeSettings
from components.shared.step import Location
from components.train.methods.registry import method_of
from pipelines.curriculum.recipe import CurriculumRecipe
from pipelines.placement.task import Fault

SHARED = ("temperature", "top_p", "max_tokens", "stop")
"""Of the sampling; the seed may differ."""
RULE = "a probe draws what the training by RL draws, since a pass rate is that of a policy"


def probe_of(recipe: CurriculumRecipe) -> ProbeSettings:
    """The settings of every probe, of a recipe without faults."""
    drawn = rollout_sampling(recipe)
    if drawn is None:
        return recipe.probe
    taken = {name: getattr(drawn, name) for name in SHARED if name in drawn.model_fields_set}
    return recipe.probe.model_copy(update={"sampling": recipe.probe.sampling.model_copy(update=taken)})


def rollout_sampling(recipe: CurriculumRecipe) -> Sampling | None:
    """How the training by RL samples; None: it draws no rollouts."""
    settings = recipe.train.rl
    return method_of(settings).rollout_sampling(settings)


def find_sampling_faults(recipe: CurriculumRecipe) -> Iterator[Fault]:
    """What the recipe declares for the probe, and the training by RL does otherwise."""
    drawn = rollout_sampling(recipe)
    if drawn is None:
        return
    own = recipe.probe.sampling if "sampling" in recipe.probe.model_fields_set else Sampling()
    for name in SHARED:
        if name in own.model_fields_set and getattr(own, name) != getattr(drawn, name):
            text = f"{getattr(own, name)!r}, and {getattr(drawn, name)!r} in the rollouts of train.rl"
            yield _fault(("probe", "sampling", name), text, "leave it out here: probes take it from train.rl")
    if recipe.probe.system_prompt:
        text = f"{recipe.probe.system_prompt!r}, and none in train.rl, which draws from the problems as they are"
        yield _fault(("probe", "system_prompt"), text, "leave it out, or put it into the problems")
    if recipe.probe.generator.extra:
        text = f"{recipe.probe.generator.extra!r}, and nothing of the kind in train.rl"
        yield _fault(("probe", "generator", "extra"), text, "leave it out, or change the model's chat template")


def _fault(location: Location, text: str, remedy: str) -> Fault:
    return Fault(location, f"{text}\n    rule: {RULE}\n    remedy: {remedy}")
