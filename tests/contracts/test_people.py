"""Phone numbers and user ids. PHP is held to the same vectors (``PersonTest.php``)."""

from pathlib import Path
from typing import Any

import orjson
import pytest

import contracts
from contracts.cloud_api.people import Person, number_forms, person, phone_digits

VECTORS = orjson.loads((Path(contracts.__file__).parent / "vectors" / "people.json").read_bytes())


@pytest.mark.parametrize(("candidates", "user_ids", "expected"), VECTORS["people"])
def test_who_is_meant(candidates: list[Any], user_ids: list[Any], expected: list[Any]) -> None:
    assert person(*candidates, user_ids=tuple(user_ids)) == Person(*expected)


@pytest.mark.parametrize("text", ["", "1234", "US.1", "1" * 21, "12a45", "15550001111\n"])
def test_what_is_no_phone_number(text: str) -> None:
    assert phone_digits(text) is None


@pytest.mark.parametrize(("digits", "forms"), VECTORS["forms"])
def test_the_forms_of_a_number(digits: str, forms: list[str]) -> None:
    assert list(number_forms(digits)) == forms
