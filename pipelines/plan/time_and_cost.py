"""What a complete training takes: time, device hours and, where devices have prices, money."""

from collections.abc import Sequence

from pipelines.plan.document import DeviceCost, PlannedTime
from pipelines.plan.list_devices import NamedDevices


def planned_time(
    devices: Sequence[NamedDevices], steps: int, step_seconds: float | None, reference_seconds: float | None
) -> PlannedTime:
    """Time and cost of all steps and the reference; without times where a speed is not known.

    Args:
        devices: of the training.
        steps: optimizer steps.
        step_seconds: of each.
        reference_seconds: of the reference's log-probs, before the first step.
    """
    seconds = None if step_seconds is None or reference_seconds is None else steps * step_seconds + reference_seconds
    hours = None if seconds is None else seconds / 3600
    # A part of the cost would look like all of it.
    unpriced = tuple(each.devices.kind.name for each in devices if each.price is None)
    return PlannedTime(
        reference_seconds=reference_seconds,
        seconds=seconds,
        device_hours=None if hours is None else hours * sum(each.devices.kind.count for each in devices),
        costs=() if hours is None or unpriced else _costs(devices, hours),
        unpriced=unpriced if len(unpriced) < len(devices) else (),
    )


def _costs(devices: Sequence[NamedDevices], hours: float) -> tuple[DeviceCost, ...]:
    """What devices cost that have a price, by currency."""
    sums: dict[str, float] = {}
    for each in devices:
        if each.price is not None:
            paid = each.devices.kind.count * each.price.per_hour * hours
            sums[each.price.currency] = sums.get(each.price.currency, 0.0) + paid
    return tuple(DeviceCost(amount=amount, currency=currency) for currency, amount in sums.items())
