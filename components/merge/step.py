"""The declaration of the step merge."""

from components.merge.settings import MergeSettings
from components.shared.step import MODEL, Product, Step

MERGED = Product("merge", 4, MODEL)
STEP = Step(
    name="merge",
    does="merge trained models into one",
    settings=MergeSettings,
    inputs={"models": MODEL},
    outputs={"model": MERGED},
)
