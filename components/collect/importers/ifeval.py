"""IFEval (Zhou et al., arXiv 2311.07911): `input_data.jsonl`, {key, prompt, instruction_id_list, kwargs}.

There is no gold answer: the instructions are checked by rules that `extra` names, as JSON texts.
"""

import json
import re
from collections.abc import Iterator

from components.collect.files.unpack import PACKED
from components.collect.importers.importer import Importer, OriginalFile, need
from components.shared.rows import Question

RULES = ("instruction_id_list", "kwargs")


def read(benchmark: str, member: OriginalFile, match: re.Match[str]) -> Iterator[Question]:
    """Prompts with the rules that their answers must follow."""
    for number, fields in member.objects():
        if not all(isinstance(fields.get(name), list) for name in RULES):
            raise member.wrong(number, f"{' and '.join(RULES)} must be lists")
        yield Question(
            benchmark=benchmark,
            id=f"{benchmark}/{fields.get('key', number)}",
            question=need(member, number, fields, "prompt"),
            answer="",
            extra={name: json.dumps(fields[name], ensure_ascii=False) for name in RULES},
        )


IMPORTER = Importer("ifeval", re.compile(rf"\.jsonl{PACKED}$"), read)
