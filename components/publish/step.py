"""The declaration of the step publish."""

from collections.abc import Iterator

from components.publish.report_schema import Report
from components.publish.settings import PublishSettings
from components.shared.step import MODEL, REPORT_CONTENT, ExternalInput, Product, Step

REPORT = Product("publish", 5, REPORT_CONTENT)
RELEASE = Product("models", 3, MODEL)


def _external_inputs(settings: PublishSettings) -> Iterator[ExternalInput]:
    """The list of planted defects."""
    if settings.planted:
        yield ExternalInput(("planted",), settings.planted)


STEP = Step(
    name="publish",
    does="promote the best variant that passes the gate, and write the report",
    settings=PublishSettings,
    inputs={"comparison": "comparison/1"},
    external_inputs=_external_inputs,
    documents={"report": Report},
    outputs={"release": REPORT},
)
