"""Problems to prompts: each through the model's chat template, as generation receives it."""

from collections.abc import Iterable, Iterator
from typing import Any

from components.models.conversation.chat_template import REMEDY, Refusal
from components.shared.errors import EmptyDataError, InputError
from components.shared.rollout_rows import Routed
from components.shared.text.counted import counted
from components.train.batches.build_dataset import Template, in_chunks
from components.train.batches.examples import Examples, Kept

PROMPT = "prompt"
"""Column of token ids; trl's name."""
PROBLEM = "problem"
"""Column of the row as JSON, with what its check needs."""

Problem = tuple[list[int], Routed]


def build_problems(template: Template, rows: Iterable[Routed], room: int, kept: Kept[Problem]) -> Examples[Problem]:
    """Tokenize the prompts of all problems.

    Args:
        template: of the model that is trained.
        rows: each with a check.
        room: most tokens of a prompt. A longer one is dropped: without its beginning it would be another problem.
        kept: takes the problems.

    Raises:
        InputError: a problem without a check.
        EmptyDataError: no problem is left.
    """
    examples: Examples[Problem] = Examples(kept)
    for chunk in in_chunks(require_checks(rows)):
        for row, encoded in zip(chunk, template.prompts([row.prompt() for row in chunk]), strict=True):
            if isinstance(encoded, Refusal):
                examples.refuse(encoded.about(row.id))
            elif len(encoded.prompt) > room:
                examples.dropped += 1
            else:
                examples.control_text += encoded.control_text
                kept.append((encoded.prompt, row))
    if not len(kept):
        raise _nothing_left(examples, room)
    return examples


def require_checks(rows: Iterable[Routed]) -> Iterator[Routed]:
    """The same rows. After the last one it raises InputError if some were without a check."""
    unchecked, total, first = 0, 0, ""
    for row in rows:
        total += 1
        if row.check is None:
            unchecked, first = unchecked + 1, first or row.id
        else:
            yield row
    if unchecked:
        raise InputError(
            f"{counted(unchecked, 'problem')} of {total:,} came without a check, the first: {first!r}",
            rule="GRPO rewards answers that a check calls right",
            remedy="collect these rows with a check (`check` of the source: math, exact, choice or code), or leave "
            "their source out",
        )


def problem_columns(problems: Iterable[Problem]) -> dict[str, list[Any]]:
    """The columns of the data set."""
    pairs = list(problems)
    return {PROMPT: [ids for ids, _ in pairs], PROBLEM: [row.model_dump_json() for _, row in pairs]}


def _nothing_left(examples: Examples[Problem], room: int) -> EmptyDataError:
    reasons = []
    if examples.dropped:
        reasons.append(f"{counted(examples.dropped, 'prompt')} of more than {room} tokens")
    if examples.refused:
        reasons.append(f"{examples.refused} are refused, the first: {examples.refusal}")
    return EmptyDataError(
        f"no problem is left to train on: {'; '.join(reasons) or 'there were none'}",
        rule="a prompt has max_length less grpo.max_response tokens",
        remedy=REMEDY if examples.refused else "raise max_length, or lower grpo.max_response",
    )
