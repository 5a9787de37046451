"""How the rows of a source are read, whatever their shape."""

from typing import Literal

from pydantic import Field

from components.shared.settings import Settings


class Reading(Settings):
    """The part of a source's settings that shapes read."""

    response_required: bool = Field(
        True, description="reject rows without a response; false keeps them, and the teacher answers them"
    )
    input_separator: str = Field(
        "\n", description="what stands between an instruction and its input (a line break in LLaMA-Factory)"
    )
    labels: Literal["read", "ignored"] = Field(
        "read",
        description="labels of responses (label, kto_tag, thumbs: true or false) are evidence for select; ignored: not",
    )
    calculator: Literal["removed", "kept"] = Field(
        "removed", description="calculator annotations <<48/2=24>> in GSM8K answers"
    )
