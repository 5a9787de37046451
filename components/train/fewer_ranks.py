"""The settings of a training that continues on fewer processes than it began with, because nodes were lost."""

from typing import TypeVar

from pydantic import ValidationError

from components.launch.fewer_nodes import launch_here
from components.launch.job import Launch
from components.shared.errors import SettingsError
from components.train.engine.fill_config import check_config
from components.train.settings import TrainSettings

SomeSettings = TypeVar("SomeSettings", bound=TrainSettings)


def ranks_that_fit(settings: TrainSettings) -> tuple[int, ...]:
    """The numbers of processes, below that of all nodes, on which the training can continue; empty where it does not.

    Args:
        settings: with the content of a `deepspeed_config`, not its path.
    """
    if not settings.launch.may_shrink:
        return ()
    return tuple(ranks for ranks in range(1, settings.ranks) if _fits(settings, ranks))


def settings_here(settings: SomeSettings) -> SomeSettings:
    """In the job: the settings with the launch of the nodes that it runs on."""
    return settings.model_copy(update={"launch": launch_here(settings.launch)})


def _fits(settings: TrainSettings, ranks: int) -> bool:
    if settings.stages is not None and ranks == 1:
        return False
    try:
        fewer = settings.with_launch(Launch(processes_per_node=ranks))
        if isinstance(fewer.deepspeed_config, dict):
            check_config(fewer.deepspeed_config, fewer, "deepspeed_config")
    except (ValidationError, SettingsError):
        return False
    return True
