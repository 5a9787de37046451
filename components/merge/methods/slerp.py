"""SLERP: the point at share t of the great circle between two models' weights, tensor by tensor.

Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, doi 10.1145/325165.325242:
theta = (sin((1 - t) w) theta_0 + sin(t w) theta_1) / sin(w) with w the angle between them; linear when nearly parallel.
"""

from typing import TYPE_CHECKING, Any

from components.merge.methods.method import Method

if TYPE_CHECKING:
    from components.merge.settings import MergeSettings


def _check(settings: "MergeSettings") -> None:
    if len(settings.used) != 2:
        raise ValueError(f"merge method slerp takes two models (with the base); given: {', '.join(settings.used)}")


def _configure(settings: "MergeSettings") -> dict[str, Any]:
    return {
        "merge_method": "slerp",
        "base_model": settings.donor,
        "models": [{"model": name} for name in settings.used],
        "parameters": {"t": settings.t},
    }


METHOD = Method("slerp", "doi 10.1145/325165.325242", _check, _configure)
