"""The program of every training, run by each process under torchrun, as the job file named by `--job` says."""

import argparse
import importlib
import shutil
from pathlib import Path

from components.launch.hand_back.report import read_job, write_result
from components.launch.here.follow_parent import die_with_parent
from components.models.reference import cache_folder
from components.shared.outputs.digest import digest_bytes, hex_of
from components.train.engine.join_ranks import prepare_environment
from components.train.engine.make_trainer import import_trainer
from components.train.engine.report_failure import reported
from components.train.engine.training_process import TrainingProcess
from components.train.job_file import TrainingJob
from components.train.ranks import Ranks

FAILED_MARKER = "failed"


def preload() -> None:
    """Import what training needs, before its processes are forked. Nothing here may touch a GPU."""
    uri = job_uri()
    with reported(uri, "train", scratch_folder(uri) / FAILED_MARKER):
        read_job(uri, TrainingJob)
        prepare_environment()
        for library in ("deepspeed", "datasets"):
            importlib.import_module(library)
        import_trainer()


def job_uri() -> str:
    """What follows `--job` on the command line: this program's, or that of the torchrun which is to start it."""
    parser = argparse.ArgumentParser(description="Train a model as a job file says.", allow_abbrev=False)
    parser.add_argument("--job", required=True, help="URI of the job file at the output's address")
    return str(parser.parse_known_args()[0].job)


def scratch_folder(uri: str) -> Path:
    """This machine's folder for a job."""
    return cache_folder() / "training" / hex_of(digest_bytes(uri.encode()), 16)


def main() -> None:
    """Train as the job file named by `--job` says; exits with a message and a code when it fails."""
    die_with_parent()
    uri = job_uri()
    scratch = scratch_folder(uri)
    ranks = Ranks.from_environment()
    if ranks.is_local_main:
        # Left by a run that was killed; its checkpoints are in the store.
        shutil.rmtree(scratch, ignore_errors=True)
    marker = scratch / FAILED_MARKER
    with reported(uri, "train", marker):
        job = read_job(uri, TrainingJob)
    with reported(uri, job.task, marker, job.settings):
        result = TrainingProcess(job, ranks, scratch).run()
        if result is not None:
            write_result(uri, result)
    if ranks.is_local_main:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
