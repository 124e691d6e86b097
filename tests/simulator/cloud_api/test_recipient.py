import pytest

from contracts.cloud_api.errors import RULES
from simulator.cloud_api.recipient import Magic, MagicKind, digits_of, magic_of, wa_id_of


@pytest.mark.parametrize(
    ("to", "digits"),
    [
        ("+4915112345678", "4915112345678"),
        ("4915112345678", "4915112345678"),
        ("+1 (650) 555-12.34", "16505551234"),
        ("", None),
        ("+", None),
        ("abc", None),
        ("1234", None),
        ("1234567890123456", None),
        ("+49 151 ١٢٣٤٥٦", None),
    ],
)
def test_digits(to: str, digits: str | None) -> None:
    assert digits_of(to) == digits


@pytest.mark.parametrize(
    ("digits", "wa_id"),
    [
        ("4915112345678", "4915112345678"),
        ("5531987654321", "553187654321"),
        ("553187654321", "553187654321"),
        ("523312345678", "5213312345678"),
        ("5213312345678", "5213312345678"),
    ],
)
def test_wa_id_can_differ_from_the_number(digits: str, wa_id: str) -> None:
    assert wa_id_of(digits) == wa_id


@pytest.mark.parametrize("code", sorted(RULES))
@pytest.mark.parametrize("kind", MagicKind)
def test_every_code_has_a_number(kind: MagicKind, code: int) -> None:
    digits = digits_of(f"+1 {kind} {code:07d}")
    assert digits is not None
    assert magic_of(digits) == Magic(kind, code)


def test_permission_codes_are_a_range() -> None:
    assert magic_of("19990000210") == Magic(MagicKind.ERROR, 210)


@pytest.mark.parametrize("digits", ["4915112345678", "19991234567", "12345"])
def test_other_numbers_mean_nothing(digits: str) -> None:
    assert magic_of(digits) is None
