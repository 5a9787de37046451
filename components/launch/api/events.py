"""The Warning events about a job's objects: what a quota, an admission webhook or a volume reports, and no status."""

from components.launch.api.cluster import Cluster, Selector
from components.launch.api.refusals import Forbidden, Unreachable
from components.launch.api.resources import EVENTS, Object

NOT_ABOUT_THE_START = ("Unhealthy", "BackOff", "Failed", "FailedScheduling", "FailedKillPod", "NodeNotReady")
"""The pod's own status reports these in more detail."""


class WarningEvents:
    """Reads the events of a job's objects, which are all named after it; each message is reported once."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._reported: set[str] = set()
        self.last = ""

    def read_new(self) -> list[str]:
        """The messages that are new; none without the right to list events."""
        try:
            events = self._cluster.select(EVENTS, Selector(field="type=Warning")).items
        except (Forbidden, Unreachable):
            return []
        words = [_words(event) for event in events if self._is_about_us(event)]
        new = [one for one in dict.fromkeys(words) if one not in self._reported]
        self._reported |= set(new)
        self.last = new[-1] if new else self.last
        return new

    def _is_about_us(self, event: Object) -> bool:
        about = event.get("involvedObject", {}).get("name", "")
        ours = about == self._name or about.startswith(f"{self._name}-")
        return ours and event.get("type") == "Warning" and event.get("reason") not in NOT_ABOUT_THE_START


def _words(event: Object) -> str:
    about = event["involvedObject"]
    return f"{about.get('kind', '')} {about['name']}: {event.get('reason', '')}: {(event.get('message') or '').strip()}"
