"""Settings of the made-up step."""

from typing import ClassVar

from pydantic import Field

from components.launch.job import Launch
from components.shared.settings import Settings


class ShoutSettings(Settings):
    """What is shouted."""

    not_in_cache_key: ClassVar[frozenset[str]] = frozenset({"launch"})

    text: str = Field(description="what is shouted")
    file: str = Field("", description="a file whose text is shouted too")
    times: int = Field(1, ge=1, description="how often; it must divide by the processes of the job")
    launch: Launch = Field(Launch(), description="where it runs")
