"""Settings that cannot work are refused before anything starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from components.synthesize.settings import SynthesizeSettings


def parse(**changes: Any) -> SynthesizeSettings:
    return SynthesizeSettings.model_validate({"teacher": {"model": "t"}, "student": "s", **changes})


def test_a_student_may_be_just_its_reference() -> None:
    student = parse(student="package:demo/student").student
    assert student is not None
    assert (student.model, student.backend) == ("package:demo/student", "transformers")


def test_an_origin_needs_its_model() -> None:
    with pytest.raises(ValidationError, match="student: needed"):
        SynthesizeSettings.model_validate({"teacher": {"model": "t"}})
    assert parse(student=None, origins=["original", "teacher"]).asked == ("teacher",)


def test_origins_are_unique_and_the_teacher_comes_first() -> None:
    assert parse(origins=["student", "teacher"]).asked == ("teacher", "student")
    with pytest.raises(ValidationError, match="origins: each must be unique"):
        parse(origins=["teacher", "teacher"])


def test_prices_in_two_currencies_cannot_be_added() -> None:
    euro, yuan = {"per_million_in": 1, "currency": "EUR"}, {"per_million_out": 1, "currency": "CNY"}
    with pytest.raises(ValidationError, match="CNY, EUR"):
        parse(teacher={"model": "t", "price": euro}, student={"model": "s", "price": yuan})
    free = {"model": "s", "price": {"currency": "CNY"}}
    assert parse(teacher={"model": "t", "price": euro}, student=free).currency == "EUR"
    assert parse().currency == ""


def test_a_key_of_another_backend_is_refused_with_the_keys_of_this_one() -> None:
    with pytest.raises(ValidationError) as caught:
        parse(teacher={"backend": "vllm", "model": "t", "window": 8})
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("teacher", "window")
    assert (
        "'vllm' has no such key; allowed: backend, extra, gpu_memory_utilization, max_model_len, model, "
        in fault["msg"]
    )
    with pytest.raises(ValidationError, match="no backend 'tgi'; allowed: transformers, openai, vllm"):
        parse(student={"backend": "tgi", "model": "s"})


def test_settings_are_the_same_after_a_trip_through_json() -> None:
    teacher = {"backend": "openai", "model": "t", "endpoints": ["http://a/v1"], "window": 3}
    given = parse(teacher=teacher, student={"model": "s", "batch": 5})
    assert SynthesizeSettings.model_validate_json(given.model_dump_json()) == given


def test_several_samples_need_a_temperature() -> None:
    with pytest.raises(ValidationError, match=r"4 greedy answers would be equal; set teacher_sampling\.temperature"):
        parse(teacher_samples=4)
    sampled = parse(teacher_samples=4, teacher_sampling={"temperature": 0.8})
    assert (sampled.samples_of("teacher"), sampled.samples_of("student")) == (4, 1)
    with pytest.raises(ValidationError, match="student_samples: 2 greedy"):
        parse(student_samples=2)


def test_one_sample_leaves_the_addresses_of_earlier_outputs_as_they_are() -> None:
    assert "teacher_samples" not in parse(teacher_samples=1).key_material()
    assert parse(teacher_samples=2, teacher_sampling={"temperature": 1}).key_material()["teacher_samples"] == 2
