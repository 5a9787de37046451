"""Settings that cannot work are refused before anything starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.synthesize.settings import SynthesizeSettings


def parse(**changes: Any) -> SynthesizeSettings:
    return SynthesizeSettings.model_validate({"teacher": {"model": "t"}, "student": "s", **changes})


def test_a_student_may_be_just_its_reference() -> None:
    student = parse(student="package:pipelines/demo/student").student
    assert student is not None
    assert (student.model, student.backend) == ("package:pipelines/demo/student", "transformers")


def test_an_origin_needs_its_model() -> None:
    with pytest.raises(ValidationError, match="student: needed"):
        SynthesizeSettings.model_validate({"teacher": {"model": "t"}})
    assert parse(student=None, origins=["original", "teacher"]).asked == ("teacher",)


def test_origins_stand_once_and_the_teacher_is_asked_first() -> None:
    assert parse(origins=["student", "teacher"]).asked == ("teacher", "student")
    with pytest.raises(ValidationError, match="origins: each may stand once"):
        parse(origins=["teacher", "teacher"])


def test_prices_in_two_currencies_cannot_be_added() -> None:
    euro, yuan = {"per_million_in": 1, "currency": "EUR"}, {"per_million_out": 1, "currency": "CNY"}
    with pytest.raises(ValidationError, match="CNY, EUR"):
        parse(teacher={"model": "t", "price": euro}, student={"model": "s", "price": yuan})
    free = {"model": "s", "price": {"currency": "CNY"}}
    assert parse(teacher={"model": "t", "price": euro}, student=free).currency == "EUR"
    assert parse().currency == ""
