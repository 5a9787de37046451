"""All steps, in the order in which their outputs follow from one another. A new one is a folder and a line here."""

from components.adopt.step import STEP as ADOPT
from components.analyse.step import STEP as ANALYSE
from components.bridge.step import STEP as BRIDGE
from components.choose.step import STEP as CHOOSE
from components.clean_up.step import STEP as CLEAN_UP
from components.collect.step import STEP as COLLECT
from components.compare.step import STEP as COMPARE
from components.critique.step import STEP as CRITIQUE
from components.curate.step import STEP as CURATE
from components.evaluate.step import STEP as EVALUATE
from components.merge.step import STEP as MERGE
from components.probe.step import STEP as PROBE
from components.publish.step import STEP as PUBLISH
from components.route.step import STEP as ROUTE
from components.select.step import STEP as SELECT
from components.shared.step import Step
from components.synthesize.step import STEP as SYNTHESIZE
from components.train.step import STEP as TRAIN

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        *(COLLECT, CURATE, SYNTHESIZE, SELECT, TRAIN, MERGE, EVALUATE, COMPARE, PUBLISH),
        *(ADOPT, CHOOSE, ANALYSE),
        *(PROBE, ROUTE, BRIDGE, CRITIQUE),
        CLEAN_UP,
    )
}
