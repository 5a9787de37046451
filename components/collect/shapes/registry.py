"""All row shapes, in the order in which they are tried.

To add one: a file in this folder, and its entry in `SHAPES`.
"""

from components.collect.shapes import (
    alpaca,
    competition_math,
    continuation,
    gsm8k,
    messages,
    preference,
    prompt_response,
    qqp,
    question_answer,
    seed_tasks,
    sharegpt,
)
from components.collect.shapes.shape import RecordFields, Shape

SHAPES = {
    shape.name: shape
    for shape in (
        preference.SHAPE,
        seed_tasks.SHAPE,
        alpaca.SHAPE,
        messages.SHAPE,
        sharegpt.SHAPE,
        prompt_response.SHAPE,
        gsm8k.SHAPE,
        question_answer.SHAPE,
        competition_math.SHAPE,
        qqp.SHAPE,
        continuation.SHAPE,
    )
}


def shape_of(fields: RecordFields) -> Shape | None:
    """The first shape that recognises the record, or None."""
    return next((shape for shape in SHAPES.values() if shape.recognises(fields)), None)
