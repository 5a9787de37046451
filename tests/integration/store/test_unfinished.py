"""Every store reports when an object was written; an unfinished address is found and deleted in each of them."""

import time

from components.clean_up.unfinished import delete_unfinished, find_unfinished
from components.shared.store import lease
from components.shared.store.open_store import open_store
from components.shared.store.store import Store

ADDRESS = "train/0123456789abcdef"


def test_objects_have_the_time_when_they_were_written(store: Store) -> None:
    began = time.time()
    store.write("key", b"data")
    (entry,) = store.list()
    assert began - 2 < entry.modified < time.time() + 2, "S3 reports whole seconds"


def test_an_unfinished_address_is_deleted_completely_and_others_are_kept(root: str) -> None:
    store, soon = open_store(root), time.time() + 60
    for number in range(3):
        store.write(f"{ADDRESS}/rows/{number}.gz", b"data")
    store.write("collect/0123456789abcdef/manifest.json", b"{}")
    with lease.hold(store.at(ADDRESS)):
        assert list(find_unfinished(root, soon)) == [], "it is leased"
    (found,) = find_unfinished(root, soon)
    assert (found.address, found.objects, found.bytes) == (ADDRESS, 3, 12)
    assert list(find_unfinished(root, time.time() - 60)) == [], "it is new"
    assert delete_unfinished(root, found, soon)
    assert [entry.key for entry in store.list()] == ["collect/0123456789abcdef/manifest.json"]
