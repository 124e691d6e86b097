"""Phone numbers and user ids."""

from typing import Any

import pytest

from contracts.cloud_api.people import Person, number_forms, person, phone_digits

USER = "US.13491208655302741918"


@pytest.mark.parametrize(
    ("candidates", "user_ids", "expected"),
    [
        (["15550001111"], [], Person("15550001111")),
        (["+1 (555) 000-1111"], [], Person("15550001111")),
        ([15550001111], [], Person("15550001111")),
        ([None, "15550001111"], [USER], Person("15550001111", USER)),
        ([USER], [], Person(None, USER)),
        ([USER, "15550001111"], [], Person("15550001111", USER)),
        (["BR." + "A1b2" * 32], [], Person(None, "BR." + "A1b2" * 32)),
        ([USER], ["US.ENT.1"], Person(None, "US.ENT.1")),
        ([None, "", True, [], {}], [None, "", 1.5], Person()),
    ],
)
def test_who_is_meant(candidates: list[Any], user_ids: list[Any], expected: Person) -> None:
    assert person(*candidates, user_ids=tuple(user_ids)) == expected


@pytest.mark.parametrize(
    "text", ["", "1234", "US.1", "1" * 21, "\u0661\u0662\u0663\u0664\u0665", "12a45"]
)
def test_what_is_no_phone_number(text: str) -> None:
    assert phone_digits(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5582999990001", "558299990001"),
        ("525550000001", "5215550000001"),
        ("5491155550001", "541155550001"),
    ],
)
def test_two_forms_of_one_number(one: str, other: str) -> None:
    assert set(number_forms(one)) == set(number_forms(other)) == {one, other}
    assert number_forms(one)[0] == one


def test_other_numbers_have_one_form() -> None:
    for digits in ("15550001111", "4915112345678", "551234", "52123"):
        assert number_forms(digits) == (digits,)
