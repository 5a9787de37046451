"""Evaluation uses no network and needs no home directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.tiny_model import save_tiny_model

PROGRAM = """
import json, socket, sys

def refuse(*arguments, **named):
    raise AssertionError(f"network asked for: {arguments}")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse

from components.shared.outputs.library import Library
from components.shared.step import Product
from components.evaluate.evaluate import evaluate_model
from components.evaluate.settings import EvaluationSettings
from components.shared.outputs.output import Output
from components.shared.rows import Check, Question
from components.shared.settings import Settings

root, model = sys.argv[1:]
extra = {"instruction_id_list": json.dumps(["length_constraints:number_sentences"])}
extra["kwargs"] = json.dumps([{"relation": "less than", "num_sentences": 999}])
rows = [
    Question(benchmark="own", id="1", question="1 + 1", answer="2", check=Check(kind="exact", answer="2")),
    Question(benchmark="ifeval", id="1", question="Write little.", answer="", extra=extra),
    Question(benchmark="bbh", subject="navigate", id="1", question="Left, right?", answer="No"),
    Question(benchmark="gsm8k", id="1", question="1 + 1?", answer="2"),
]
output = Output(Library(root), Product("collect", 1, Question.content), Settings(), {})
output.write_rows("rows/00000", rows)
names = ("own", "ifeval", "bbh", "gsm8k")
settings = EvaluationSettings.model_validate({"benchmarks": [{"name": name, "max_tokens": 8} for name in names]})
manifest = evaluate_model(Library(root), settings, output.finish(), model, "base")
print(json.dumps(manifest.counts))
"""


def test_no_network_and_no_home(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", hidden_size=16, num_hidden_layers=1)
    hidden = ("HF_", "NLTK_", "TRANSFORMERS_", "XDG_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    # Nothing can be made below /proc, by root either: a home that is read-only to everyone.
    environment.update(HOME="/proc/nowhere", TUTELAGE_CACHE=str(tmp_path / "cache"), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(tmp_path / "model")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.strip().splitlines()[-1])
    assert counts["questions"] == 4 and counts["ifeval"] in (0.0, 1.0)
    assert "it/s]" not in done.stderr, "the harness' own progress bars are off"
