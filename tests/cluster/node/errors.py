"""What a person is told when the node cannot be had."""


class NodeError(Exception):
    """The node cannot be built, started or changed; the message says why and what to do."""
