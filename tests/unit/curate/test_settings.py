import pytest
from pydantic import ValidationError

from components.curate.settings import CurateSettings
from components.models.generators.openai.settings import OpenAISettings


def test_the_teacher_is_required_unless_rules_label() -> None:
    assert CurateSettings(labeller="rules").teacher is None
    with pytest.raises(ValidationError, match="needs `teacher`"):
        CurateSettings()


@pytest.mark.parametrize("template", ["Label:", "{instruction} {instruction}"])
def test_the_template_contains_the_instruction_once(template: str) -> None:
    with pytest.raises(ValidationError, match="exactly once"):
        CurateSettings(labeller="rules", label_template=template)


def test_integers_that_kubeflow_made_doubles_are_accepted() -> None:
    assert CurateSettings.model_validate({"labeller": "rules", "distance": 3.0, "cap": 5.0}).cap == 5


def test_locations_do_not_change_the_key() -> None:
    teacher = OpenAISettings(model="m", endpoints=("http://a",))
    one = CurateSettings(teacher=teacher, types_file="a.yaml")
    other = CurateSettings(teacher=teacher.model_copy(update={"endpoints": ("http://b",)}), types_file="b.yaml")
    assert one.key_material() == other.key_material()
    assert one.key_material() != CurateSettings(teacher=teacher, cap=3).key_material()
