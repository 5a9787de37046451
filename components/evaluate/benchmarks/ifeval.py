"""IFEval: instructions whose following a program can check ("at least three sentences", "no commas").

Zhou et al., "Instruction-following evaluation for large language models", arXiv 2311.07911. The checkers are those of
lm-evaluation-harness; the score is the paper's strict accuracy for prompts: 1 when every instruction is followed.
"""

import json

from components.evaluate.benchmarks.benchmark import Benchmark
from components.shared.errors import InputError
from components.shared.rows import Question

NEEDED = ("instruction_id_list", "kwargs")


def _prompt(question: Question) -> str:
    return question.question


def _score(question: Question, reply: str) -> float:
    from components.evaluate.sentence_data import load_checkers

    checkers = load_checkers()
    example = checkers.InputExample(
        key=question.id,
        instruction_id_list=_field(question, "instruction_id_list"),
        prompt=question.question,
        kwargs=_field(question, "kwargs"),
    )
    return float(checkers.test_instruction_following_strict(example, reply).follow_all_instructions)


def _field(question: Question, name: str) -> list[object]:
    try:
        return list(json.loads(question.extra[name]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"ifeval question {question.id} lacks the list {name!r} in extra",
            rule=f"extra must contain {' and '.join(NEEDED)} as JSON lists; it contains: {', '.join(question.extra)}",
            remedy="import IFEval's original input_data.jsonl with the collect step",
        ) from error


BENCHMARK = Benchmark(
    name="ifeval",
    metric="prompt_level_strict",
    protocol="1 when every checkable instruction of the prompt is followed (strict)",
    few_shot=0,
    max_tokens=1280,
    prompt=_prompt,
    score=_score,
    files="IFEval's input_data.jsonl",
)
