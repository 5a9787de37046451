"""The train step in a process of its own, which forks its job as a local run's does: tests kill it."""

import json
import sys

from components.launch.here.fork_server import forking_jobs
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Manifest
from components.train.methods.registry import parse_train_settings
from components.train.train import train_model

if __name__ == "__main__":
    root, settings, dataset, start = json.loads(sys.argv[1])
    with forking_jobs():
        train_model(Library(root), "train-it", parse_train_settings(settings), Manifest.model_validate(dataset), start)
