"""A plan on a terminal: for each training a table of its ranks, evenly and balanced, and what each split takes."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from components.shared.text.counted import counted
from components.train.balance.split_plan import RankGroup
from pipelines.plan.document import FewestNodes, PlanDocument, PlannedSplit, TrainingPlan
from pipelines.plan.print_stages import print_stages
from pipelines.plan.words import NO_TIME, all_time, print_text

GIB = 2**30
COLUMNS = ("split", "devices", "ranks", "share", "state", "activations", "of", "fits", "host", "computes", "waits")
SHOWN_TASKS = 3
"""Names of trainings that are planned alike; the rest are counted."""


def print_plan(document: PlanDocument, console: Console) -> None:
    """Print all trainings, then what the numbers rest on."""
    for training in document.trainings:
        _print_training(training, console)
    for note in document.notes:
        print_text(f"note: {note}", "dim", console)


def _print_training(training: TrainingPlan, console: Console) -> None:
    print_text(_title(training), "bold", console)
    print_text(_facts(training), "", console)
    _print_splits(training.splits, training, console)
    if training.stages is not None:
        print_stages(training.stages, training.steps, console)
    if training.fewest is not None:
        _print_fewest(training.fewest, training, console)
    console.print()


def _print_splits(splits: Sequence[PlannedSplit], training: TrainingPlan, console: Console) -> None:
    """Their ranks in a table, then what each takes."""
    table = _ranks(splits)
    if table.row_count:
        print_text("GiB of one device (host: of one process), seconds of one step", "italic", console)
        console.print(table)
    for split in splits:
        name = f"{split.split} (as the recipe has it)" if split.split == training.chosen else split.split
        for line in _lines(name, split, training):
            print_text(line, "" if split.plan and split.plan.fits else "red", console)


def _print_fewest(fewest: FewestNodes, training: TrainingPlan, console: Console) -> None:
    """What the training takes once it has lost all nodes that it can do without."""
    print_text(f"on the fewest nodes, {counted(fewest.ranks, 'rank')} (least_nodes):", "bold", console)
    if fewest.stages is not None:
        print_stages(fewest.stages, training.steps, console)
    if fewest.split is not None:
        _print_splits([fewest.split], training, console)


def _title(training: TrainingPlan) -> str:
    names = ", ".join(training.tasks[:SHOWN_TASKS])
    more = len(training.tasks) - SHOWN_TASKS
    return f"{names} and {more} more, each" if more > 0 else f"{names}{', each' if len(training.tasks) > 1 else ''}"


def _facts(training: TrainingPlan) -> str:
    """What is trained, on which rows."""
    part = "all weights" if training.trained == training.parameters else f"{training.trained:,} trained"
    return (
        f"{training.method} of {training.start} ({training.parameters:,} parameters, {part}; shape from "
        f"{training.start_from}); {counted(training.rows, 'row')} of {training.row_tokens:,} tokens "
        f"({training.rows_from}), {counted(training.epochs, 'epoch')} of {training.global_batch} rows a step: "
        f"{counted(training.steps, 'step')}"
    )


def _ranks(splits: Sequence[PlannedSplit]) -> Table:
    table = Table(*COLUMNS)
    for split in splits:
        for group in split.plan.groups if split.plan else ():
            table.add_row(split.split, *_cells(group), style="" if group.fits else "red")
    return table


def _cells(group: RankGroup) -> list[str]:
    last = group.first_rank + group.ranks - 1
    return [
        group.devices,
        f"{group.first_rank}" if group.ranks == 1 else f"{group.first_rank} to {last}",
        f"{group.share:.1%}",
        *(f"{size / GIB:.1f}" for size in (group.state_bytes, group.activation_bytes, group.usable_bytes)),
        "yes" if group.fits else "no",
        f"{group.host_bytes / GIB:.1f}",
        "–" if group.seconds is None else f"{group.seconds:.3g}",
        "–" if group.waits is None else f"{group.waits:.0%}",
    ]


def _lines(name: str, split: PlannedSplit, training: TrainingPlan) -> Iterator[str]:
    """What a split takes, and why."""
    plan = split.plan
    if plan is None:
        yield f"{name}: not possible: {split.refused}"
        return
    kept = "recomputed" if plan.recomputed else "kept"
    yield f"{name}: ZeRO stage {plan.stage}, activations {kept}; {_time(split, training)}"
    yield f"  {plan.why}"


def _time(split: PlannedSplit, training: TrainingPlan) -> str:
    plan = split.plan
    if plan is None or plan.step_seconds is None:
        return NO_TIME
    step = (
        f"{plan.step_seconds:.3g} s a step ({plan.computing_seconds:.3g} computing, {plan.transfer_seconds:.3g} "
        "transfers)"
    )
    return all_time(split, step, training.steps)
