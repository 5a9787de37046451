"""The train step: runs the training as a job, and finishes the output with the job's result."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from components.launch.hand_back.files import JobResult
from components.launch.hand_back.hand_over import HandedJob
from components.launch.job import Job
from components.models.reference import as_parent, handed_on
from components.shared.errors import EmptyDataError, ModelError, SettingsError
from components.shared.log import say
from components.shared.outputs.divergence import has_diverged
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.shared.outputs.output import Output
from components.shared.outputs.passed_through import PASSED_THROUGH_FILE, PassedThrough, has_passed_through
from components.shared.outputs.shards import count_rows
from components.shared.outputs.training_compute import allowed_tokens, budget_inputs, read_budget
from components.shared.text.counted import counted
from components.train.check_start import check_start
from components.train.checkpoints.checkpoint import delete_checkpoints
from components.train.engine.deepspeed_config import filled_in, with_config_read
from components.train.fewer_ranks import ranks_that_fit
from components.train.job_file import TrainingJob
from components.train.methods.registry import METHODS, method_of
from components.train.settings import TrainSettings
from components.train.step import TRAINED

PROGRAM = "components.train.engine.run_training"
"""The job's module, whatever the method: the job file names it."""

NOTHING_TRAINED = ("rows", "steps", "tokens")
"""Counts of a training that trained nothing, all 0."""
NO_BUDGET = "the trainings whose compute it may spend had nothing to learn"


def train_model(
    library: Library, task: str, settings: TrainSettings, dataset: Manifest, start: str, *, budget: Sequence[str] = ()
) -> Manifest:
    """Train a model on the rows of the select step; returns the manifest of `model/` and `losses.jsonl`.

    Where the part has no rows or the budget no tokens, and the settings allow that, no job starts: the output hands on
    the model that it starts from (`shared/outputs/passed_through.py`).

    The models of earlier epochs that the settings hand over are finished first, each at the address of the training
    that ends there; not those that are complete, or that another process is making.

    Args:
        library: where outputs are stored.
        task: the step's name in logs and states, such as `train-sft`.
        settings: method, schedule, ZeRO and launch.
        dataset: the select step's output, with the part that the method reads.
        start: a model reference; KTO from an SFT output is the paper's SFT-then-KTO.
        budget: URIs of trainings; this one ends at the first step at which its own compute reaches the sum of theirs,
            whatever its epochs. Empty: no limit.

    Raises:
        EmptyDataError: the method's part holds no rows, or the budget no tokens, and the settings do not take that for
            a result.
        InputError: the budget names what is not a training.
        ModelError: the model is missing or cannot be trained: not safetensors, incomplete, quantised, or with the
            tokenizer of another model; or the training diverged, and the settings do not take that for a result.
        SettingsError: `max_length` or the LoRA targets do not fit the model, or the settings do not fit a budget.
        JobError: the job failed; its checkpoints are kept.
    """
    settings = with_config_read(settings)
    trainings = read_budget(library, budget)
    if trainings:
        _require_no_epochs(settings)
    allowed = allowed_tokens(trainings)
    why_nothing = _why_nothing(settings, dataset, allowed)
    begin = as_parent(start, settings.allow_pickled_weights)
    output = Output(library, TRAINED, settings, {"dataset": dataset, "start": begin, **budget_inputs(trainings)})
    task_file = TrainingJob(
        root=library.absolute_root,
        address=output.address,
        task=task,
        settings=settings,
        dataset=dataset.address,
        start=start,
        allowed_tokens=allowed,
    )
    earlier = {epoch: _ending_after(output, settings, epoch) for epoch in settings.hand_over_epochs}

    def work() -> Manifest:
        """Run the job, or take its result, and finish the output and those of earlier epochs."""
        if why_nothing:
            say(task, f"{why_nothing}: {output.parents['start'].address} is handed on as it is")
            return _pass_through(output, start, allowed)
        with ExitStack() as stack:
            claimed = {epoch: other for epoch, other in earlier.items() if other.claimed(stack)}
            handed = HandedJob(output, JobResult)
            result = handed.result()
            if result is None:
                rows = count_rows(dataset, method_of(settings).part)
                ranks = counted(settings.ranks, "process", "processes")
                say(task, f"{settings.method} on {ranks}, {counted(rows, 'row')}{_limit(task_file)}")
                addresses = {epoch: other.address for epoch, other in claimed.items()}
                file = task_file.model_copy(update={"earlier": addresses})
                result = handed.run(file, _job(file, handed.arguments))
            for other in claimed.values():
                _finish_earlier(other)
            manifest = _finish(output, handed, result)
        delete_checkpoints(output.store)
        return manifest

    manifest = output.made(
        work,
        prepare=lambda: None if why_nothing else _check(library, task, settings, dataset, start),
        wait_seconds=settings.launch.wait_seconds,
    )
    _require_model(settings, manifest)
    return manifest


def _why_nothing(settings: TrainSettings, dataset: Manifest, allowed: int | None) -> str:
    """Why nothing is trained; empty: something is.

    Raises EmptyDataError where the settings do not take that for a result.
    """
    method, reason = method_of(settings), ""
    rule, remedy = f"method {method.name} reads the part {method.part}/ of its dataset", ""
    if not count_rows(dataset, method.part):
        reason = f"{dataset.address} has no {method.part} rows"
        remedy = "look at the report of the step that made it, and change the settings that leave this part empty"
    elif allowed == 0:
        reason, rule = NO_BUDGET, "a training with a budget spends the compute of the trainings that it names"
        remedy = "name trainings that had rows, or train without a budget"
    if reason and settings.when_empty == "fail":
        raise EmptyDataError(reason, rule=rule, remedy=remedy)
    return reason


def _pass_through(output: Output, start: str, allowed: int | None) -> Manifest:
    """Complete the output of a training that trains nothing: its start is its model."""
    output.write_json(PASSED_THROUGH_FILE, PassedThrough.of(output.library, handed_on(start)))
    limit = {} if allowed is None else {"tokens_spent": 0, "tokens_allowed": allowed}
    return output.finish({"passed_through": 1, **dict.fromkeys(NOTHING_TRAINED, 0), **limit})


def _limit(job: TrainingJob) -> str:
    return "" if job.allowed_tokens is None else f", until {job.allowed_tokens:,} tokens of compute are spent"


def _require_no_epochs(settings: TrainSettings) -> None:
    """Raises SettingsError where the settings name an epoch, and a budget decides how many there are."""
    for name in ("stop_after_epochs", "hand_over_epochs"):
        if value := getattr(settings, name):
            raise SettingsError(
                f"{name} is {value}, and the training has a budget",
                rule="a training with a budget ends when its compute is spent, within any epoch",
                remedy=f"leave {name} out, or train without a budget",
            )


def _require_model(settings: TrainSettings, manifest: Manifest) -> None:
    """Refuse the output of a study's training that diverged, where these settings do not take that for a result."""
    if has_diverged(manifest) and settings.on_divergence == "fail":
        raise ModelError(
            f"the training at {manifest.address} diverged at step {manifest.counts['diverged_step']:.0f}, so it has no "
            "model",
            rule="a loss and the weights must be finite",
            remedy="lower learning_rate or max_grad_norm, or look at the rows",
        )


def _ending_after(output: Output, settings: TrainSettings, epoch: int) -> Output:
    """The output of the training that ends after an earlier epoch."""
    return Output(output.library, TRAINED, settings.ending_after(epoch), output.parents)


def _finish_earlier(output: Output) -> None:
    """Complete the output of an earlier epoch; one whose model was not saved is left to a training of its own."""
    handed = HandedJob(output, JobResult)
    if (result := handed.result()) is not None:
        _finish(output, handed, result)


def _finish(output: Output, handed: HandedJob[JobResult], result: JobResult) -> Manifest:
    for shard in result.shards:
        output.adopt(shard)
    manifest = output.finish(result.counts, result.cost)
    handed.clear()
    return manifest


def _check(library: Library, task: str, settings: TrainSettings, dataset: Manifest, start: str) -> None:
    """Check what can be known before processes and models are started."""
    method = method_of(settings)
    if not settings.launch.on_cluster:
        method.check_machine(settings)
    if filled := filled_in(settings):
        say(task, f"deepspeed_config leaves out these keys, set from the settings: {', '.join(map(str, filled))}")
    method.check_rows(library.read_rows(dataset, method.row_type, part=method.part))
    check_start(start, settings, task)


def _job(task_file: TrainingJob, arguments: tuple[str, ...]) -> Job:
    return Job(
        name=f"{task_file.task}-{task_file.address.rpartition('/')[2]}",
        program="torchrun",
        module=PROGRAM,
        arguments=arguments,
        preload=True,
        launch=task_file.settings.launch,
        ranks=ranks_that_fit(task_file.settings),
    )


def _loss_lines(counts: Mapping[str, float]) -> Iterator[str]:
    if "diverged" in counts:
        yield f"| **diverged**: there is no model | at step {counts['diverged_step']:,.0f} |"
    if "loss_first" in counts:
        yield f"| loss, first and last | {counts['loss_first']:.4f}, {counts['loss_last']:.4f} |"


def _budget_lines(counts: Mapping[str, float]) -> Iterator[str]:
    if "tokens_allowed" in counts:
        spent, allowed = counts["tokens_spent"], counts["tokens_allowed"]
        yield f"| compute in tokens, spent and allowed | {spent:,.0f}, {allowed:,.0f} |"


def summarise(task: str, manifest: Manifest) -> str:
    """A summary of the training in Markdown, for Kubeflow's page of the run."""
    counts, method = manifest.counts, METHODS[str(manifest.settings["method"])]
    if has_passed_through(manifest):
        return _summarise_pass(task, manifest)
    lines = [
        f"# {task}",
        "",
        "| | |",
        "|---|---|",
        f"| method | {method.name} |",
        f"| start | {manifest.parents['start'].address} |",
        f"| rows | {counts['rows']:,.0f} |",
        f"| rows truncated, dropped | {counts['rows_truncated']:,.0f}, {counts['rows_dropped']:,.0f} |",
        f"| rows that the chat template refuses | {counts['rows_refused']:,.0f} |",
        f"| rows whose text spells a control token | {counts['rows_with_control_text']:,.0f} |",
        f"| responses without their thought | {counts['rows_without_thought']:,.0f} |",
        f"| optimizer steps | {counts['steps']:,.0f} |",
        *_loss_lines(counts),
        f"| tokens | {counts['tokens']:,.0f} |",
        *_budget_lines(counts),
        f"| parameters trained | {counts['parameters_trained']:,.0f} of {counts['parameters']:,.0f} |",
        f"| processes | {counts['ranks']:.0f}, at most {counts['peak_memory_mib']:,.0f} MiB each |",
        f"| seconds | {manifest.cost.seconds:,.0f}, of which training {counts['seconds_train']:,.0f} |",
    ]
    if counts.get("steps_on_fewer_nodes"):
        lines.append(
            f"| optimizer steps on fewer nodes than set; nodes missing at the end | "
            f"{counts['steps_on_fewer_nodes']:,.0f}; {counts['nodes_left_out']:,.0f} |"
        )
    if "reference_rows" in counts:
        made = "computed" if counts["reference_rows_computed"] else "read"
        lines.append(f"| reference log-probs | {counts['reference_rows']:,.0f} rows, {made} |")
    if "shares_changed" in counts:
        lines.append(
            f"| shares by speed | found in {counts['seconds_speeds']:,.0f} s, changed {counts['shares_changed']:,.0f} "
            f"times, {counts['passes_without_weight']:,.0f} passes without weight |"
        )
    if counts.get("positions"):
        share = counts["positions_padding"] / counts["positions"]
        lines.append(f"| positions of stages, of which padding | {counts['positions']:,.0f}, {share:.1%} |")
    if "step_seconds_predicted" in counts:
        predicted, measuring = counts["step_seconds_predicted"], counts["seconds_measuring"]
        lines.append(
            f"| stages by measured cost | predicted {predicted:.3g} s a step, measured in {measuring:,.0f} s |"
        )
    if counts.get("stage_drifts"):
        lines.append(f"| jobs whose stages stopped to fit their devices | {counts['stage_drifts']:,.0f} |")
    for name, what in (("rows_over_budget", "rows"), ("groups_over_budget", "groups of rows")):
        if counts.get(name):
            lines.append(
                f"| {what} over the token budget of {counts['micro_batch_tokens']:,.0f} | {counts[name]:,.0f} |"
            )
    lines += [f"| {label} | {value} |" for label, value in method.summary(counts)]
    return "\n".join(lines) + "\n"


def _summarise_pass(task: str, manifest: Manifest) -> str:
    dataset, start = (manifest.parents[name].address for name in ("dataset", "start"))
    part = METHODS[str(manifest.settings["method"])].part
    reason = NO_BUDGET if manifest.counts.get("tokens_allowed") == 0 else f"{dataset} has no {part} rows"
    return f"# {task}\n\nNothing to learn, since {reason}: {start} is handed on as it is.\n"
