"""The work of the made-up step."""

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from tests.unit.registries.made_up.shout.settings import ShoutSettings
from tests.unit.registries.made_up.shout.step import SHOUTED


def shout_text(library: Library, settings: ShoutSettings) -> Manifest:
    """The text in capital letters, as often as the settings say."""
    output = Output(library, SHOUTED, settings, {})

    def work() -> Manifest:
        text = settings.text.upper() * settings.times
        output.write_bytes("shouted.txt", text.encode())
        return output.finish({"letters": len(text)})

    return output.made(work)
