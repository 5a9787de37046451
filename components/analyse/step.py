"""The declaration of the step analyse."""

from components.analyse.settings import AnalyseSettings
from components.analyse.study_schema import STUDY_CONTENT, Study
from components.shared.rows import EVALUATION
from components.shared.step import Product, Step

STUDY = Product("analyse", 2, STUDY_CONTENT)
STEP = Step(
    name="analyse",
    does="judge the arms of a study: intervals over seeds and questions, tests, compute, and the report",
    settings=AnalyseSettings,
    inputs={"evaluations": EVALUATION},
    outputs={"study": STUDY},
    documents={STUDY_CONTENT: Study},
)
