"""The declaration of the step compare."""

from components.compare.settings import CompareSettings
from components.shared.rows import COMPARISON as CONTENT
from components.shared.rows import EVALUATION, ComparisonTable
from components.shared.step import Product, Step

COMPARISON = Product("compare", 2, CONTENT)
STEP = Step(
    name="compare",
    does="compare every evaluated model with the base, question by question",
    settings=CompareSettings,
    inputs={"evaluations": EVALUATION},
    outputs={"comparison": COMPARISON},
    documents={COMPARISON.content: ComparisonTable},
)
