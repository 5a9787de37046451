"""The train step: hand the training to its job, and make its result the output."""

from components.launch.job import Job, run_job
from components.models.reference import as_parent
from components.shared.errors import EmptyDataError, JobError
from components.shared.log import say
from components.shared.manifest import Manifest
from components.shared.output import Output
from components.shared.shards import count_rows, read_rows
from components.shared.store import absolute, join
from components.train.checkpoint import forget
from components.train.deepspeed_config import filled_in, with_config_read
from components.train.job_file import JOB_FILE, RESULT_FILE, TrainJob, TrainResult, read_result, write_file
from components.train.settings import METHODS, TrainSettings

STEP = "train"
VERSION = 2
CONTENT = "model/1"


def train_model(root: str, task: str, settings: TrainSettings, dataset: Manifest, start: str) -> Manifest:
    """Train a model on the rows of the select step; returns the manifest of `model/` and `losses.json`.

    Args:
        root: the store's root URI.
        task: the step's name in logs and states, such as `train-sft`.
        settings: method, schedule, ZeRO and launch.
        dataset: the select step's output, with parts `sft/` and `kto/`.
        start: a model reference; training KTO from an SFT output is the paper's SFT-then-KTO.

    Raises:
        EmptyDataError: the method's part holds no rows.
        ModelError: there is no such model, or it is not safetensors.
        JobError: the job ended badly; what it has done is kept.
    """
    settings = with_config_read(settings)
    pickled = settings.allow_pickled_weights
    output = Output(root, STEP, VERSION, settings, {"dataset": dataset, "start": as_parent(start, pickled)})
    if done := output.manifest():
        return done
    if not count_rows(dataset, settings.method):
        raise EmptyDataError(
            f"{dataset.address} has no {settings.method} rows",
            rule=f"method {settings.method} learns from the part {settings.method}/ of the select step's output",
            remedy="look at the select step's report, and loosen what it asks of a response",
        )
    if filled := filled_in(settings):
        say(task, f"deepspeed_config leaves out, filled in from the settings: {', '.join(map(str, filled))}")
    # A wrong input shows in its first row, before processes and models are started.
    next(read_rows(root, dataset, METHODS[settings.method], part=settings.method))
    job_file = TrainJob(
        root=absolute(root),
        address=output.address,
        task=task,
        settings=settings,
        dataset=dataset.address,
        start=start,
    )
    with output.writing(settings.launch.wait_seconds):
        if done := output.manifest():
            # Another pod of this step made it while this one waited.
            return done
        result = read_result(output.store) or _run(job_file, int(count_rows(dataset, settings.method)))
        for shard in result.shards:
            output.adopt(shard)
        manifest = output.finish(CONTENT, result.counts, result.cost)
        output.store.delete(RESULT_FILE)
        forget(output.store)
    return manifest


def _run(job_file: TrainJob, rows: int) -> TrainResult:
    settings = job_file.settings
    write_file(job_file.store, JOB_FILE, job_file)
    job = Job(
        name=f"{job_file.task}-{job_file.address.rpartition('/')[2]}",
        program="torchrun",
        module=f"components.train.{settings.method}",
        arguments=("--job", join(job_file.root, job_file.address, JOB_FILE)),
        preload=True,
        launch=settings.launch,
    )
    say(job_file.task, f"{settings.method} on {settings.ranks} processes, {rows} rows")
    run_job(job)
    result = read_result(job_file.store)
    if result is None:
        raise JobError(
            f"job {job.name} ended well but left no {RESULT_FILE} at {job_file.address}",
            remedy="check that the job's processes write to the same store as this step",
        )
    return result


def summarise(task: str, manifest: Manifest) -> str:
    """The training in Markdown, for the pipeline's page."""
    counts = manifest.counts
    lines = [
        f"# {task}",
        "",
        "| | |",
        "|---|---|",
        f"| method | {manifest.settings['method']} |",
        f"| start | {manifest.parents['start'].address} |",
        f"| rows | {counts['rows']:,.0f} |",
        f"| rows cut, left out | {counts['rows_truncated']:,.0f}, {counts['rows_dropped']:,.0f} |",
        f"| rows that the chat template refuses | {counts['rows_refused']:,.0f} |",
        f"| rows whose text spells a control token | {counts['rows_with_control_text']:,.0f} |",
        f"| responses without their thought | {counts['rows_without_thought']:,.0f} |",
        f"| optimizer steps | {counts['steps']:,.0f} |",
        f"| loss, first and last | {counts['loss_first']:.4f}, {counts['loss_last']:.4f} |",
        f"| tokens | {counts['tokens']:,.0f} |",
        f"| parameters trained | {counts['parameters_trained']:,.0f} of {counts['parameters']:,.0f} |",
        f"| processes | {counts['ranks']:.0f}, at most {counts['peak_memory_mib']:,.0f} MiB each |",
        f"| seconds | {manifest.cost.seconds:,.0f}, of which training {counts['seconds_train']:,.0f} |",
    ]
    if "kl" in counts:
        rewards = f"{counts['desirable_reward']:+.3f}, {counts['undesirable_reward']:+.3f}"
        lines.append(f"| rewards, desirable and undesirable | {rewards} (KL {counts['kl']:.3f}) |")
    if counts.get("kl_pairs_elsewhere"):
        elsewhere = f"{counts['kl_pairs_elsewhere']:,.0f} of {counts['kl_pairs']:,.0f}"
        lines.append(f"| mismatched pairs with a response from outside their batch | {elsewhere} |")
    return "\n".join(lines) + "\n"
