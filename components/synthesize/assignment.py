"""What the step hands to its job, and where everything lies at the output's address."""

from typing import Final

from components.shared.settings import Settings
from components.synthesize.settings import SynthesizeSettings

ASSIGNMENT: Final = "job.json"
RESULT: Final = "result.json"
FAILURE: Final = "failure.json"


class Assignment(Settings):
    """The job's input. It holds no secrets: keys are read from the variables that the settings name.

    `address` and `dataset` (the instructions' address) are relative to `root`.
    """

    root: str
    address: str
    dataset: str
    settings: SynthesizeSettings
