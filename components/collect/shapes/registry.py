"""All row shapes, in the order in which they are tried.

A new one is a file beside this one and one name in `SHAPES`.
"""

from components.collect.shapes import (
    alpaca,
    gsm8k,
    messages,
    prompt_response,
    question_answer,
    seed_tasks,
    sharegpt,
)
from components.collect.shapes.shape import Fields, Shape

SHAPES = {
    shape.name: shape
    for shape in (
        seed_tasks.SHAPE,
        alpaca.SHAPE,
        messages.SHAPE,
        sharegpt.SHAPE,
        prompt_response.SHAPE,
        gsm8k.SHAPE,
        question_answer.SHAPE,
    )
}


def shape_of(fields: Fields) -> Shape | None:
    """The first shape that recognises the record, or None."""
    return next((shape for shape in SHAPES.values() if shape.recognises(fields)), None)
