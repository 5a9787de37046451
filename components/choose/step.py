"""The declaration of the step choose."""

from components.choose.document import RateChoice
from components.choose.settings import ChooseSettings
from components.shared.rows import EVALUATION
from components.shared.step import Product, Step

CHOICE = Product("choose", 2, "choice/1")
STEP = Step(
    name="choose",
    does="choose the learning rate whose models score best on the validation part, over all seeds",
    settings=ChooseSettings,
    inputs={"evaluations": EVALUATION},
    outputs={"choice": CHOICE},
    documents={CHOICE.content: RateChoice},
)
