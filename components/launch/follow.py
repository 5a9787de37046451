"""Follows objects of a cluster: a list, then a watch of what changes after it, again and again.

Nothing depends on seeing every change: each watch is short, and after it, or after whatever ends it before (a dropped
connection, a version that is too old, a restart of the API server), everything is listed again.
"""

import threading
from dataclasses import dataclass

from components.launch.clock import Clock
from components.launch.cluster import Cluster, Selector
from components.launch.kind import Object, Resource
from components.launch.moments import written
from components.launch.patience import Patience
from components.launch.refusals import Expired, Unreachable

SHORT_WATCH_SECONDS = 5.0
"""A watch that ends sooner is not begun again at once."""


@dataclass(frozen=True)
class Seen:
    """What there is, and what there was: objects that are gone, with their last status."""

    present: list[Object]
    gone: list[Object]

    @property
    def all(self) -> list[Object]:
        """Both."""
        return [*self.gone, *self.present]

    def without(self, uids: set[str]) -> "Seen":
        """All but these."""
        kept = [[one for one in seen if one["metadata"]["uid"] not in uids] for seen in (self.present, self.gone)]
        return Seen(*kept)


class Following:
    """Objects of one kind as they are now, kept up to date by a thread until `stop`.

    Args:
        cluster: the namespace.
        resource: the kind.
        selector: which of them.
        changed: is set when something changed.
        clock: what waits.
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
        threading.Thread(target=self._run, name=f"follow {resource.plural}", daemon=True).start()

    def stop(self) -> None:
        """Follow no longer."""
        self._stopped.set()

    def look(self) -> Seen | None:
        """What is known; None before the first list. Raises what ended the following."""
        with self._lock:
            if self._error is not None:
                raise self._error
            return Seen(list(self._present.values()), list(self._gone.values())) if self._listed else None

    def _run(self) -> None:
        patience = Patience(self._clock)
        try:
            while not self._stopped.is_set():
                self._list_and_watch(patience)
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            with self._lock:
                self._error = error
            self._changed.set()

    def _list_and_watch(self, patience: Patience) -> None:
        began = self._clock.now()
        try:
            listed = self._cluster.select(self._resource, self._selector)
            patience.heard()
            self._replace(listed.items)
            with self._cluster.watch(self._resource, self._selector, listed.version) as changes:
                for kind, seen in changes:
                    if self._stopped.is_set():
                        return
                    self._note(kind, seen)
        except Expired:
            return
        except Unreachable as error:
            if not self._stopped.is_set():
                patience.bear(error)
            return
        if self._clock.now() - began < SHORT_WATCH_SECONDS:
            self._clock.wait(self._stopped, 1.0)

    def _replace(self, items: list[Object]) -> None:
        with self._lock:
            now = {item["metadata"]["uid"]: item for item in items}
            for uid in self._present.keys() - now.keys():
                self._bury(self._present[uid])
            self._present, self._listed = now, True
        self._changed.set()

    def _note(self, kind: str, seen: Object) -> None:
        with self._lock:
            uid = seen["metadata"]["uid"]
            if kind == "DELETED":
                self._present.pop(uid, None)
                self._bury(seen)
            else:
                self._present[uid] = seen
        self._changed.set()

    def _bury(self, seen: Object) -> None:
        """Keep the last status. Who was not seen to be deleted is deleted now."""
        meta = {"deletionTimestamp": written(self._clock.now()), **seen["metadata"]}
        self._gone[meta["uid"]] = {**seen, "metadata": meta}
