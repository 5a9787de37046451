"""A model that is opened for its first request, and shared by threads."""

import threading
from collections.abc import Sequence

from components.models.generators.asked_model import open_asked
from components.models.generators.generator import Generator, GeneratorSettings, LocalGenerator, open_generator
from components.shared.rows import Message


class SharedModel:
    """A model's files with the backend that runs them, or an endpoint.

    Args:
        settings: the backend.
        model: reference of the model; unused where an endpoint answers.
        threads: CPU threads for a local model.
    """

    def __init__(self, settings: GeneratorSettings, model: str, threads: int) -> None:
        self._settings, self._model, self._threads = settings, model, threads
        self._generator: Generator | None = None
        self._local: LocalGenerator | None = None
        self._opening = threading.Lock()

    def open(self) -> Generator:
        """The model, opened once. Raises what `open_generator` and `open_asked` raise."""
        with self._opening:
            if self._generator is None:
                if self._settings.is_remote:
                    self._generator = open_generator(self._settings)
                else:
                    import torch

                    torch.set_num_threads(self._threads)
                    self._generator = self._local = open_asked(self._settings, self._model)
            return self._generator

    def opens_thought(self, messages: Sequence[Message]) -> bool:
        """Whether the prompt of a conversation is known to open a thought: an endpoint alone knows its template."""
        return self._local is not None and self._local.prompts.opens_thought(messages)

    def close(self) -> None:
        """Close the model, if it was opened."""
        if self._generator is not None:
            self._generator.close()
        self._generator = self._local = None
