"""Strings that PHP's == compares as numbers. tests/parity compares the same with real PHP."""

import pytest

from sidecar.bots.php_numbers import PhpNumber

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", PhpNumber(5.0, 5)),
        ("007", PhpNumber(7.0, 7)),
        ("+5", PhpNumber(5.0, 5)),
        ("-5", PhpNumber(-5.0, -5)),
        (" \t\n\r\v\f5 \n", PhpNumber(5.0, 5)),
        ("5.0", PhpNumber(5.0)),
        (".5", PhpNumber(0.5)),
        ("5.", PhpNumber(5.0)),
        ("1e3", PhpNumber(1000.0)),
        ("1e-3", PhpNumber(0.001)),
        (str(LARGEST), PhpNumber(float(LARGEST), LARGEST)),
        (str(LARGEST + 1), PhpNumber(float(LARGEST), overflow=1)),
        (str(-(2**63)), PhpNumber(-(2.0**63), -(2**63))),
        (str(-(2**63) - 1), PhpNumber(-(2.0**63), overflow=-1)),
        (f"{-(2**63)} ", PhpNumber(-(2.0**63), overflow=-1)),
        ("12345678901234567890.5", PhpNumber(12345678901234567890.5, overflow=1)),
        ("00000000000000000000000005", PhpNumber(5.0, 5)),
        ("1e999", PhpNumber(float("inf"))),
    ],
)
def test_numbers(text: str, number: PhpNumber) -> None:
    assert PhpNumber.parse(text.encode()) == number


@pytest.mark.parametrize(
    "text", ["", " ", ".", "e5", "5e", "5a", "0x1A", "1_000", "--5", "5\0", "٥"]
)
def test_no_numbers(text: str) -> None:
    assert PhpNumber.parse(text.encode()) is None


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("5", "5.0", True),
        ("5", "05", True),
        ("1e3", "1000", True),
        ("5", "6", False),
        ("0", "-0", True),
        # As floats they would be the same.
        (str(LARGEST), str(LARGEST - 1), False),
        # Too large for an integer, so they are compared as strings.
        ("9223372036854775808", "9223372036854775809", False),
        ("-9223372036854775809", "-9223372036854775810", False),
        ("9223372036854775808", "-9223372036854775809", False),
        (str(LARGEST), str(LARGEST + 1), False),
        ("9223372036854775808", "9223372036854775808.0", True),
        ("1e999", "1e998", False),
    ],
)
def test_equality_is_the_same_both_ways(one: str, other: str, equal: bool) -> None:
    first, second = PhpNumber.parse(one.encode()), PhpNumber.parse(other.encode())
    assert first is not None
    assert second is not None
    assert first.equals(second) is equal
    assert second.equals(first) is equal
