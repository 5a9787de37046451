"""Offline mode holds for libraries that were imported before it, as in a run on one machine."""

import subprocess
import sys

PROBE = """
import huggingface_hub
from huggingface_hub.errors import OfflineModeIsEnabled
from components.models.offline import stay_offline
stay_offline()
try:
    huggingface_hub.HfApi(endpoint="http://127.0.0.1:9").model_info("a/b")
except OfflineModeIsEnabled:
    print("offline")
"""


def test_a_library_that_is_already_imported_does_not_contact_a_hub() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=600)
    assert done.stdout == "offline\n", done.stderr
