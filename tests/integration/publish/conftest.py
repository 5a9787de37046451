"""A run of realistic size in a folder store: seven variants, planted truth, losses, cost."""

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rows import (
    Comparison,
    ComparisonTable,
    Dropped,
    Instruction,
    PartScores,
    Rejected,
    Score,
    Scores,
    Variant,
    Verdict,
)
from components.shared.settings import Settings
from components.shared.step import Product
from tests.stand_in_outputs import stand_in_output

BENCHMARKS = {"tutelage-demo": 500, "gsm8k": 1319, "mmlu": 14042}
SCORES = {
    "base": (0.342, 0.021, 0.251),
    "sft": (0.588, 0.034, 0.254),
    "kto": (0.366, 0.023, 0.250),
    "sft-kto": (0.604, 0.035, 0.252),
    "linear-half": (0.562, 0.031, 0.255),
    "linear-5-95": (0.598, 0.034, 0.253),
    "ties": (0.412, 0.016, 0.243),
}
PLANTED = {
    "near-duplicate": 160, "evaluation-overlap": 120, "wrong-reference": 150,
    "unsafe": 100, "malformed": 80, "rare-label": 60,
}  # fmt: skip
LABELS = ("arithmetic", "sorting", "spelling", "calendar", "units", "logic", "reverse", "counting", "clock", "months")
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class Run:
    """Writes the outputs of every step as the steps do."""

    def __init__(self, root: Path) -> None:
        self.root = str(root / "store")
        self.truth = root / "planted.jsonl"
        self.random = random.Random(7)

    def output(self, step: str, settings: Mapping[str, Any], inputs: Mapping[str, Manifest | Parent]) -> Output:
        return stand_in_output(self.root, step, settings, inputs)

    def collect(self) -> tuple[Manifest, Manifest]:
        rows = [
            Instruction(id=f"row-{n}", source=f"demo/{self.source(n)}", line=n, instruction="?") for n in range(4000)
        ]
        planted, number = [], 0
        for kind, count in PLANTED.items():
            for _ in range(count):
                entry: dict[str, Any] = {"source": self.source(number), "line": number, "kind": kind, "note": "made"}
                if kind == "near-duplicate":
                    original = 3000 + number
                    entry |= {"original_source": self.source(original), "original_line": original}
                planted.append(entry)
                number += 1
        self.planted = planted
        self.truth.write_text("".join(json.dumps(entry) + "\n" for entry in planted))
        output = self.output("collect", {"sources": ["demo/instructions"]}, {})
        output.write_rows("rows/00000", rows)
        malformed = [e for e in planted if e["kind"] == "malformed"]
        output.write_rows(
            "rejected/00000",
            [
                Rejected(source="demo/" + e["source"], line=e["line"], reason=self.random.choice(["no-json", "empty"]))
                for e in malformed
            ],
        )
        instructions = output.finish({"rows": 3920, "rejected": 80}, Cost(seconds=1.8))
        output = Output(Library(self.root), Product("collect", 1, "question/1"), Settings(), {})
        output.write_json("names.json", list(BENCHMARKS))
        return instructions, output.finish({"questions": 15861}, Cost(seconds=2.4))

    def source(self, number: int) -> str:
        return ("alpaca.jsonl", "chat.jsonl", "sharegpt.json")[number % 3]

    def curate(self, instructions: Manifest, benchmarks: Manifest) -> Manifest:
        output = self.output(
            "curate",
            {
                "hamming": 3,
                "ngram": 13,
                "least_label_rows": 10,
                "cap": 220,
                "teacher_endpoint": "http://me:hush@h:8000/v1",
            },
            {"instructions": instructions, "benchmarks": benchmarks},
        )
        dropped = [row for e in self.planted for row in self.dropped(e)]
        dropped += [
            Dropped(id=f"row-{n}", source=f"demo/{self.source(n)}", line=n, reason="over the cap")
            for n in [*range(300, 330), *range(2000, 2300)]
        ]
        output.write_rows("dropped/00000", dropped)
        before = {label: int(1400 / (1 + n)) for n, label in enumerate(LABELS)} | {"poetry": 8, "rhyme": 4}
        after = {label: min(220, count) for label, count in before.items() if count >= 10}
        output.write_json(
            "report.json",
            {
                "labels": {"before": before, "after": after},
                "diversity": {
                    "before": {"label_entropy": 2.713, "distinct_1": 0.0412, "distinct_2": 0.231},
                    "after": {"label_entropy": 3.208, "distinct_1": 0.0598, "distinct_2": 0.302},
                },
            },
        )
        cost = Cost(seconds=41.3, tokens_in=301_222, tokens_out=21_887, price=0.04, currency="USD")
        return output.finish({"rows": sum(after.values()), "dropped": len(dropped)}, cost)

    def dropped(self, entry: Mapping[str, Any]) -> list[Dropped]:
        chances = {"near-duplicate": 0.98, "evaluation-overlap": 0.99, "rare-label": 0.8}
        if self.random.random() > chances.get(entry["kind"], 0.0):
            return []
        evidence = f"row-{entry['original_line']} at distance 2" if "original_line" in entry else "the passage"
        number = entry["line"]
        return [
            Dropped(
                id=f"row-{number}", source="demo/" + entry["source"], line=number, reason=entry["kind"],
                evidence=evidence,
            )
        ]  # fmt: skip

    def select(self, responses: Manifest) -> Manifest:
        verdicts = []
        for number in range(280, 2000):
            kind = self.planted[number]["kind"] if number < len(self.planted) else ""
            if 300 <= number < 330:
                continue
            flags = ("reference-contradicted",) if kind == "wrong-reference" and self.random.random() < 0.93 else ()
            flags = ("unsafe-request",) if kind == "unsafe" and self.random.random() < 0.97 else flags
            flags = ("reference-contradicted",) if not kind and self.random.random() < 0.006 else flags
            verdicts.append(
                Verdict(
                    id=f"row-{number}", source=f"demo/{self.source(number)}", line=number,
                    origins=("original", "teacher", "student"), scores=(Scores(), Scores(), Scores()),
                    best=1, worst=2, flags=flags,
                )
            )  # fmt: skip
        output = self.output("select", {"quality": "verifier", "weights": [0.2, 0.3, 0.5]}, {"responses": responses})
        output.write_rows("verdicts/00000", verdicts)
        output.write_json(
            "report.json",
            {
                "origins": {"teacher": 1043, "original": 502, "student": 128},
                "checks": {
                    "teacher": {"pass_rate": 0.921},
                    "original": {"pass_rate": 0.874},
                    "student": {"pass_rate": None},
                },
            },
        )
        return output.finish({"sft_rows": 1673, "kto_rows": 3208, "flagged": 251}, Cost(seconds=12.2))

    def model(
        self, step: str, method: str, inputs: Mapping[str, Manifest | Parent], seconds: float, **settings: Any
    ) -> Manifest:
        output = self.output(step, {"method": method, **settings}, inputs)
        for name in MODEL_FILES:
            output.write_bytes(f"model/{name}", f"{name} of {output.address}".encode() * 50)
        output.write_bytes("model/training_args.bin", b"pickled")
        if step == "train":
            top = 2.3 if method == "sft" else 0.5
            losses = [
                {"step": n, "loss": top * (0.25 + 0.75 * math.exp(-n / 60)) + self.random.gauss(0, 0.02 * top)}
                for n in range(1, 331)
            ]
            output.write_bytes("losses.jsonl", "".join(f"{json.dumps(step)}\n" for step in losses).encode())
        counts = {"steps": 330, "rows": 1673} if step == "train" else {"models": len(inputs)}
        return output.finish(counts, Cost(seconds=seconds))

    def evaluate(self, benchmarks: Manifest, models: Mapping[str, Manifest | Parent]) -> Manifest:
        evaluations, variants = {}, []
        for name, model in models.items():
            output = self.output("evaluate", {}, {"model": model, "benchmarks": benchmarks})
            output.write_json("scores.json", SCORES[name])
            counts = {"questions": 15861, "tutelage_demo": SCORES[name][0]}
            evaluations[name] = output.finish(counts, Cost(seconds=14.0 + len(name)))
            address = model.address
            variants.append(
                Variant(
                    name=name, reference=address, digest=model.digest,
                    scores=self.scores(name), against_base=self.differences(name),
                    selection=self.part(name), confirmation=self.part(name),
                )
            )  # fmt: skip
        output = self.output("compare", {"correction": "holm"}, evaluations)
        output.write_json("comparison.json", ComparisonTable(base="base", variants=tuple(variants)))
        return output.finish({"variants": len(variants)}, Cost(seconds=1.1))

    def scores(self, name: str) -> tuple[Score, ...]:
        return tuple(
            Score(
                benchmark=benchmark, metric="exact_match", value=value,
                standard_error=math.sqrt(value * (1 - value) / count), count=count,
            )
            for (benchmark, count), value in zip(BENCHMARKS.items(), SCORES[name], strict=True)
        )  # fmt: skip

    def part(self, name: str) -> PartScores:
        halves = (score.model_copy(update={"count": score.count // 2}) for score in self.scores(name))
        return PartScores(scores=tuple(halves), against_base=self.differences(name))

    def differences(self, name: str) -> tuple[Comparison, ...]:
        if name == "base":
            return ()
        found = []
        for benchmark, ours, base in zip(BENCHMARKS, self.scores(name), self.scores("base"), strict=True):
            difference = ours.value - base.value
            error = 0.8 * math.hypot(ours.standard_error, base.standard_error)
            p_value = math.erfc(abs(difference) / error / math.sqrt(2))
            found.append(Comparison(benchmark=benchmark, difference=difference, standard_error=error, p_value=p_value))
        return tuple(found)

    def write(self) -> Manifest:
        student = Parent(address="package:demo/student", digest="5" * 64)
        teacher = Parent(address="package:demo/teacher", digest="7" * 64)
        instructions, benchmarks = self.collect()
        curated = self.curate(instructions, benchmarks)
        output = self.output(
            "synthesize", {"temperature": 0.7}, {"dataset": curated, "student": student, "teacher": teacher}
        )
        cost = Cost(seconds=96.4, tokens_in=412_000, tokens_out=88_120, price=0.31, currency="USD")
        answered = output.finish({"rows": 1720, "responses": 5160, "slot_utilisation": 0.934}, cost)
        dataset = self.select(answered)
        sft = self.model("train", "sft", {"dataset": dataset, "start": student}, 92.7, learning_rate=1e-4, epochs=3)
        kto = self.model("train", "kto", {"dataset": dataset, "start": student}, 61.0, learning_rate=5e-6, beta=0.1)
        both = self.model("train", "kto", {"dataset": dataset, "start": sft}, 58.9, learning_rate=5e-6, beta=0.1)
        models = {
            "base": student,
            "sft": sft,
            "kto": kto,
            "sft-kto": both,
            "linear-half": self.model("merge", "linear", {"sft": sft, "kto": kto}, 1.4, weights=[0.5, 0.5]),
            "linear-5-95": self.model("merge", "linear", {"sft": sft, "sft-kto": both}, 1.3, weights=[0.05, 0.95]),
            "ties": self.model("merge", "ties", {"base": student, "sft": sft, "kto": kto}, 2.2, density=0.5),
        }
        return self.evaluate(benchmarks, models)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Manifest]:
    """The fake run and its comparison."""
    fake = Run(tmp_path_factory.mktemp("run"))
    return fake, fake.write()
