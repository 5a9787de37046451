"""Keys and values of one forward pass, kept for another one that continues some of its tokens."""

from components.models.forward.attention_layer import KeysAndValues


class CapturedKeys:
    """The keys and values of every layer in one forward pass, detached, by the layer's index.

    They are references to what the graded pass holds anyway for its backward pass. Recomputed layers (gradient
    checkpointing) call the attention again during the backward pass: after `close` they add nothing.
    """

    def __init__(self) -> None:
        self._layers: dict[int, KeysAndValues] = {}
        self._is_open = True

    def keep(self, layer: int, states: KeysAndValues) -> None:
        """Keep a layer's keys and values while open."""
        if self._is_open:
            self._layers[layer] = KeysAndValues(states.key.detach(), states.value.detach())

    def close(self) -> None:
        """End the capture: the forward pass is complete."""
        self._is_open = False

    def release(self) -> None:
        """Give up the tensors; a graph that is kept for its backward pass still refers to this object."""
        self.close()
        self._layers.clear()

    def of_layer(self, layer: int) -> KeysAndValues:
        """Keys and values of a layer. Raises KeyError when nothing was captured."""
        return self._layers[layer]
