"""The declaration of the step clean-up."""

from components.shared.step import Image, Step

STEP = Step(
    name="clean_up",
    does="delete the unfinished jobs of a run after success, failure and cancel",
    image=Image.LAUNCHER,
    uses_store=False,
    ends_run=True,
)
