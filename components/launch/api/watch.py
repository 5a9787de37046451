"""Observes objects of a cluster: lists them, then watches for changes, again and again.

Nothing depends on receiving every change: each watch is short, and after it, or after whatever ends it early (a dropped
connection, a version that is too old, a restart of the API server), everything is listed again.
"""

import threading
from dataclasses import dataclass

from components.launch.api.clock import Clock, timestamp_of
from components.launch.api.cluster import Cluster, Selector
from components.launch.api.refusals import Expired, Unreachable
from components.launch.api.resources import Object, Resource
from components.launch.api.silence import ServerSilence

SHORT_WATCH_SECONDS = 5.0
"""After a watch that ends sooner there is a pause."""


@dataclass(frozen=True)
class ObservedObjects:
    """Objects that are present, and objects that are gone, with their last status."""

    present: list[Object]
    gone: list[Object]

    @property
    def all(self) -> list[Object]:
        """Both."""
        return [*self.gone, *self.present]

    def without(self, uids: set[str]) -> "ObservedObjects":
        """All but those with these uids."""
        kept = [[one for one in objects if one["metadata"]["uid"] not in uids] for objects in (self.present, self.gone)]
        return ObservedObjects(*kept)


class Watcher:
    """Objects of one kind as they are now, kept up to date by a thread until `stop`.

    Args:
        cluster: the namespace.
        resource: the kind.
        selector: which of them.
        changed: set when something has changed.
        clock: used for pauses.
    """

    def __init__(
        self, cluster: Cluster, resource: Resource, selector: Selector, changed: threading.Event, clock: Clock
    ) -> None:
        self._cluster, self._resource, self._selector = cluster, resource, selector
        self._changed, self._clock = changed, clock
        self._lock = threading.Lock()
        self._present: dict[str, Object] = {}
        self._gone: dict[str, Object] = {}
        self._listed = False
        self._stopped = threading.Event()
        self._error: Exception | None = None
        threading.Thread(target=self._run, name=f"watch {resource.plural}", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def observed(self) -> ObservedObjects | None:
        """What is known; None before the first list. Raises the error that ended the watching."""
        with self._lock:
            if self._error is not None:
                raise self._error
            return ObservedObjects(list(self._present.values()), list(self._gone.values())) if self._listed else None

    def _run(self) -> None:
        silence = ServerSilence(self._clock)
        try:
            while not self._stopped.is_set():
                self._list_and_watch(silence)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            with self._lock:
                self._error = error
            self._changed.set()

    def _list_and_watch(self, silence: ServerSilence) -> None:
        began = self._clock.now()
        try:
            listed = self._cluster.select(self._resource, self._selector)
            silence.end()
            self._replace(listed.items)
            with self._cluster.watch(self._resource, self._selector, listed.version) as changes:
                for kind, changed in changes:
                    if self._stopped.is_set():
                        return
                    self._note(kind, changed)
        except Expired:
            return
        except Unreachable as error:
            if not self._stopped.is_set():
                silence.wait(error)
            return
        if self._clock.now() - began < SHORT_WATCH_SECONDS:
            self._clock.wait(self._stopped, 1.0)

    def _replace(self, items: list[Object]) -> None:
        with self._lock:
            now = {item["metadata"]["uid"]: item for item in items}
            for uid in self._present.keys() - now.keys():
                self._keep_gone(self._present[uid])
            self._present, self._listed = now, True
        self._changed.set()

    def _note(self, kind: str, changed: Object) -> None:
        with self._lock:
            uid = changed["metadata"]["uid"]
            if kind == "DELETED":
                self._present.pop(uid, None)
                self._keep_gone(changed)
            else:
                self._present[uid] = changed
        self._changed.set()

    def _keep_gone(self, deleted: Object) -> None:
        """Keep the last status. The deletion of an object counts as now where no watch has reported it."""
        meta = {"deletionTimestamp": timestamp_of(self._clock.now()), **deleted["metadata"]}
        self._gone[meta["uid"]] = {**deleted, "metadata": meta}
