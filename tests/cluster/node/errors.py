"""Why the node cannot be started or used."""


class NodeError(Exception):
    """The node cannot be built, started or changed; the message says why and what to do."""
