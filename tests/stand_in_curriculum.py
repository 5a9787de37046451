"""A curriculum in a folder store: real probe reports and routes of drawn pass rates, and two baselines."""

import json
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

from components.probe.probe import report_of
from components.probe.results import Summing
from components.probe.settings import ProbeSettings
from components.route.route import route_problems
from components.route.settings import RouteSettings
from components.shared.intervals import wilson_interval
from components.shared.outputs.library import Library
from components.shared.outputs.manifest import Cost, Manifest, Parent
from components.shared.outputs.output import Output
from components.shared.rollout_rows import Bridged, BridgeText, Critique, Probed, RepairText, Rollout
from components.shared.rows import (
    Check,
    Comparison,
    ComparisonTable,
    Labelled,
    Message,
    PartScores,
    Score,
    Scores,
    SftKind,
    SftRow,
    Variant,
)
from tests.stand_in_outputs import stand_in_output

STUDENT = Parent(address="package:demo/student", digest="5" * 64)
QUESTIONS = 500
PROBE = ProbeSettings()
SCORES = {
    "base": 0.31,
    "round-1-sft": 0.47,
    "round-1-rl": 0.55,
    "round-2-sft": 0.58,
    "round-2-rl": 0.66,
    "mixed-sft": 0.52,
    "sft-grpo-sft": 0.45,
    "sft-grpo": 0.57,
}


class StandInCurriculum:
    """Writes the outputs of every step, with `problems` problems whose difficulty is even from 0 to 1."""

    def __init__(self, root: str, problems: int = 120) -> None:
        self.root, self.library, self.random = root, Library(root), random.Random(5)
        output = stand_in_output(root, "curate", {}, {})
        self.rows = [self._problem(number) for number in range(problems)]
        output.write_rows("rows/00000", self.rows)
        self.problems = output.finish({"rows": problems})
        self.models: dict[str, Manifest | Parent] = {"base": STUDENT}

    def _problem(self, number: int) -> Labelled:
        return Labelled(
            id=f"p{number}",
            source="demo/problems.jsonl",
            line=number + 1,
            instruction=f"Add {number} and {2 * number}, then double the sum.",
            check=Check(kind="math", answer=str(6 * number)),
            type="math",
            primary="arithmetic",
            secondary=f"{2 + number % 3} steps",
        )

    def output(self, step: str, inputs: Mapping[str, Manifest | Parent], **settings: Any) -> Output:
        """An output to be written."""
        return stand_in_output(self.root, step, settings, inputs)

    def probe(self, model: str, skill: float) -> Manifest:
        """A model's rollouts; `skill` from 0 to 1 is the difficulty that it passes half of the time."""
        output = self.output("probe", {"problems": self.problems, "model": self.models[model]})
        summing, rows = Summing(PROBE), []
        for number, problem in enumerate(self.rows):
            rows.append(self._probed(problem, 1 / (1 + math.exp(14 * (number / len(self.rows) - skill)))))
            summing.add(rows[-1])
        output.write_rows("rows/00000", rows)
        output.write_json("report.json", report_of(PROBE, summing.result((), 1.0)))
        generated = sum(sum(row.lengths) for row in rows)
        return output.finish({"problems": len(rows)}, Cost(seconds=20, tokens_out=generated))

    def _probed(self, problem: Labelled, rate: float) -> Probed:
        passed: list[bool] = []
        while not PROBE.rule.is_decided(len(passed), sum(passed)):
            passed.append(self.random.random() < rate)
        right = problem.check.answer if problem.check else ""
        low, high = wilson_interval(sum(passed), len(passed))
        return Probed(
            **{name: getattr(problem, name) for name in Labelled.model_fields},
            tries=len(passed),
            successes=sum(passed),
            lengths=(12,) * len(passed),
            truncated=0,
            low=low,
            high=high,
            decided=True,
            rollouts=tuple(
                Rollout(text=f"1. They are {right if ok else 'many'}.\nThe answer is {right if ok else 7}.", passed=ok)
                for ok in passed
            ),
        )

    def bridge(self, routed: Manifest, probed: Manifest, model: str) -> Manifest:
        """A trace for each problem of SFT, but for every fifth, and two answers of the student's own."""
        inputs = {"routed": routed, "probed": probed, "student": self.models[model]}
        output = self.output("bridge", inputs, model=model)
        hard = [row for row in self.library.read_rows(probed, Probed) if row.successes == 0]
        output.write_rows("bridged/00000", [self._bridged(row, number) for number, row in enumerate(hard)])
        output.write_json("report.json", {"origins": {"rewritten": len(hard)}})
        traces = len(hard) - -(-len(hard) // 5)
        self._teach(output, {"": traces, "replay": 2})
        return output.finish({"sft_rows": traces + 2})

    def _teach(self, output: Output, rows: Mapping[SftKind, int]) -> None:
        """Rows to learn, by kind."""
        for kind, count in rows.items():
            asked = (Message(role="user", content="Add 1 and 2."),)
            row = SftRow(id=kind, prompt=asked, completion="It is 3.", origin="teacher", scores=Scores(), kind=kind)
            output.write_rows(f"sft/{kind}/00000".replace("//", "/"), [row] * count)

    def _bridged(self, row: Probed, number: int) -> Bridged:
        assert row.check is not None
        text = f"1. The sum is {int(row.check.answer) // 2}.\n2. Doubled: {row.check.answer}.\nThe answer is {{}}."
        right = BridgeText(
            origin="rewritten", text=text.format(row.check.answer), passed=True, fate="chosen", tokens=31, rsr=4.25
        )
        wrong = BridgeText(origin="rewritten", text=text.format("unclear"), passed=False, fate="wrong")
        is_dropped = number % 5 == 0
        return Bridged(
            **{name: getattr(row, name) for name in ("id", "source", "line", "instruction")},
            texts=(wrong,) if is_dropped else (wrong, right),
            chosen=None if is_dropped else 1,
            reason="no_text" if is_dropped else "",
        )

    def critique(self, probed: Manifest, bridged: Manifest) -> Manifest:
        """A diagnosis and a repair for each of a few unsolved problems; one diagnosis disagrees with the check."""
        output = self.output("critique", {"probed": probed, "bridged": bridged})
        hard = [row for row in self.library.read_rows(probed, Probed) if row.successes == 0][:6]
        rows = [critique for number, row in enumerate(hard) for critique in self._critiques(row, number)]
        output.write_rows("critiques/00000", rows)
        output.write_json("report.json", {"diagnosis_rows": len(hard)})
        self._teach(output, {"trace": 7, "replay": 2, "diagnosis": len(hard), "repair": len(rows) - len(hard)})
        return output.finish({"sft_rows": 9 + len(rows)})

    def _critiques(self, row: Probed, number: int) -> Iterable[Critique]:
        shared = {
            **{name: getattr(row, name) for name in ("id", "source", "line", "instruction")},
            "rollout": 0,
            "attempt": row.rollouts[0].text,
            "passed": False,
        }
        if number == 0:
            yield Critique(**shared, kind="diagnosis", step=None, why="All steps follow.", fate="disagrees")
            return
        yield Critique(**shared, kind="diagnosis", step=1, why="It gives no number.", fate="learnt")
        repaired = RepairText(text="1. The sum is known.\nThe answer is right.", passed=True, fate="chosen")
        yield Critique(
            **shared, kind="repair", step=1, why="It gives no number.", repairs=(repaired,), chosen=0, fate="learnt"
        )

    def train(
        self, name: str, method: str, dataset: Manifest, start: str, *, tokens: int, budget: Iterable[str] = ()
    ) -> None:
        """A training, with the record of its steps."""
        limits = {f"budget_{place}": self.models[other] for place, other in enumerate(budget, start=1)}
        inputs = {"dataset": dataset, "start": self.models[start], **limits}
        output = self.output("train", inputs, method=method, named=name)
        output.write_bytes("model/config.json", f"{name}".encode())
        output.write_bytes("model/model.safetensors", name.encode() * 9)
        records = [self._record(step, method) for step in range(1, 121)]
        output.write_bytes("losses.jsonl", "".join(f"{json.dumps(one)}\n" for one in records).encode())
        counts = {"steps": 120, "tokens": tokens, **({"tokens_generated": tokens // 2} if method == "grpo" else {})}
        self.models[name] = output.finish(counts, Cost(seconds=60))

    def _record(self, step: int, method: str) -> dict[str, float]:
        noise = self.random.gauss(0, 0.03)
        if method != "grpo":
            return {"step": step, "loss": 2 * math.exp(-step / 60) + noise}
        share = 1 - math.exp(-step / 50)
        return {
            "step": step,
            "loss": noise,
            "reward": 0.2 + 0.5 * share + noise,
            "useful_groups": 0.8 - 0.4 * share + noise,
            "entropy": 1.2 - 0.6 * share + noise / 3,
            "response_tokens": 30 + 25 * share + 20 * noise,
            "truncated_share": max(0.0, 0.1 - 0.1 * share + noise / 3),
            "clip_share": abs(noise) / 30,
        }

    def compare(self, *names: str) -> Manifest:
        """The evaluations of these models, and the comparison with the base."""
        made: dict[str, Manifest] = {}
        evaluations: dict[str, Manifest | Parent] = {}
        for name in names:
            model = self.models[name]
            if model.address not in made:
                output = self.output("evaluate", {"model": model})
                output.write_json("scores.json", SCORES[name])
                made[model.address] = output.finish({"questions": QUESTIONS})
            evaluations[name] = made[model.address]
        output = self.output("compare", evaluations, correction="holm")
        output.write_json(
            "comparison.json", ComparisonTable(base="base", variants=tuple(self._variant(name) for name in names))
        )
        return output.finish({"variants": len(names)})

    def _variant(self, name: str) -> Variant:
        value, model = SCORES[name], self.models[name]
        score = Score(
            benchmark="sums",
            metric="exact_match",
            value=value,
            standard_error=math.sqrt(value * (1 - value) / QUESTIONS),
            count=QUESTIONS,
        )
        gain = Comparison(
            benchmark="sums", difference=value - SCORES["base"], standard_error=0.025, p_value=0.0004
        )  # fmt: skip
        gains = () if name == "base" else (gain,)
        half = PartScores(scores=(score.model_copy(update={"count": QUESTIONS // 2}),), against_base=gains)
        return Variant(
            name=name,
            reference=model.address,
            digest=model.digest,
            scores=(score,),
            against_base=gains,
            selection=half,
            confirmation=half,
        )

    def last_probe(self) -> Manifest:
        """The pass rates after the last round, which no model comes from."""
        return self.probe("round-2-rl", 0.7)

    def first_round(self) -> tuple[Manifest, Manifest]:
        """A probe of the student, and the route of its problems."""
        probed = self.probe("base", 0.3)
        return probed, route_problems(self.library, RouteSettings(), probed)

    def write(self) -> Manifest:
        """Two rounds, the second with critiques, and two baselines; returns the comparison."""
        probed, routed = self.first_round()
        texts = self.bridge(routed, probed, "base")
        self.train("round-1-sft", "sft", texts, "base", tokens=40_000)
        self.train("round-1-rl", "grpo", routed, "round-1-sft", tokens=120_000)
        again = self.probe("round-1-rl", 0.55)
        rerouted = route_problems(self.library, RouteSettings(), again)
        critiques = self.critique(again, self.bridge(rerouted, again, "round-1-rl"))
        self.train("round-2-sft", "sft", critiques, "round-1-rl", tokens=30_000)
        self.train("round-2-rl", "grpo", rerouted, "round-2-sft", tokens=90_000)
        taught, reinforced = ("round-1-sft", "round-2-sft"), ("round-1-rl", "round-2-rl")
        self.train("mixed-sft", "sft", texts, "base", tokens=386_000, budget=(*taught, *reinforced))
        self.train("sft-grpo-sft", "sft", texts, "base", tokens=70_500, budget=taught)
        self.train("sft-grpo", "grpo", routed, "sft-grpo-sft", tokens=211_000, budget=reinforced)
        return self.compare(*SCORES)
