"""What a training takes, as a plan's text has it."""

from rich.console import Console
from rich.text import Text

from components.shared.progress_event import duration
from components.shared.text.counted import counted
from pipelines.plan.document import PlannedTime
from pipelines.preview.words import money

NO_TIME = "time not predicted"


def print_text(text: str, style: str, console: Console) -> None:
    """Print a line, as long as it is."""
    console.print(Text(text, style), soft_wrap=True)


def all_time(planned: PlannedTime, of_a_step: str, steps: int) -> str:
    """Time of a step, in words, with that of all steps, device hours and cost."""
    if planned.seconds is None or planned.device_hours is None:
        return NO_TIME
    of_reference = planned.reference_seconds
    reference = f", {duration(of_reference)} of it for the reference" if of_reference else ""
    cost = "".join(f", {money(cost.amount, cost.currency)}" for cost in planned.costs)
    cost += f", cost not known: no price for {', '.join(planned.unpriced)}" if planned.unpriced else ""
    return (
        f"{of_a_step}, {duration(planned.seconds)} for {counted(steps, 'step')}{reference}; "
        f"{planned.device_hours:,.2f} device hours{cost}"
    )
