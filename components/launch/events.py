"""The Warning events about a job's objects: words of a quota, an admission webhook or a volume that no status holds."""

from components.launch.cluster import EVENTS, Cluster, Selector
from components.launch.kind import Object
from components.launch.refusals import Forbidden, Unreachable

NOT_ABOUT_THE_START = ("Unhealthy", "BackOff", "Failed", "FailedScheduling", "FailedKillPod", "NodeNotReady")
"""Told by the pod's own status, in better words."""


class Warnings:
    """Reads the events of a job's objects, which are all named after it; each message is told once."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._told: set[str] = set()
        self.last = ""

    def look(self) -> list[str]:
        """What is new. Without the right to list events there is nothing to tell."""
        try:
            events = self._cluster.select(EVENTS, Selector(field="type=Warning")).items
        except (Forbidden, Unreachable):
            return []
        words = [_words(event) for event in events if self._is_about_us(event)]
        new = [one for one in dict.fromkeys(words) if one not in self._told]
        self._told |= set(new)
        self.last = new[-1] if new else self.last
        return new

    def _is_about_us(self, event: Object) -> bool:
        about = event.get("involvedObject", {}).get("name", "")
        ours = about == self._name or about.startswith(f"{self._name}-")
        return ours and event.get("type") == "Warning" and event.get("reason") not in NOT_ABOUT_THE_START


def _words(event: Object) -> str:
    about = event["involvedObject"]
    return f"{about.get('kind', '')} {about['name']}: {event.get('reason', '')}: {(event.get('message') or '').strip()}"
