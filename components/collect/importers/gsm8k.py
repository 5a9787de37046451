"""GSM8K: `test.jsonl` as published, {question, answer}; the expected answer is the number after `####`.

It holds no few-shot examples: the four of the chain-of-thought prompt belong to the evaluation.
"""

import re
from collections.abc import Iterator

from components.collect.files.records import BadRowError
from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, need
from components.collect.shapes.gsm8k import final_answer
from components.shared.rows import Question


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """Questions with their final answer; the worked solution is kept in `extra`."""
    for number, fields in member.objects():
        worked = need(member, number, fields, "answer")
        try:
            answer = final_answer(worked)
        except BadRowError as error:
            raise member.wrong(number, error.detail) from error
        question = need(member, number, fields, "question")
        identity = f"{benchmark}/{number}"
        yield Question(benchmark=benchmark, id=identity, question=question, answer=answer, extra={"solution": worked})


IMPORTER = Importer("gsm8k", re.compile(rf"(?:^|/)(?!train)[^/]*\.jsonl{PACKED}$"), read)
