"""What Ray reads from the environment when it is imported; this module does not import it."""

import os
import secrets


def set_ray_environment() -> None:
    """Set what Ray reads when it is imported: no telemetry, and for a local Ray a token for this run only.

    Ray 2.60 requires a token by default and looks for it below HOME, which a pod may lack; this one is never written
    to disk.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not os.environ.get("RAY_ADDRESS") and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
