"""No personal data in what leaves the installation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.ops.masking import mask

UID = "4f8a2f0e-51f3-4b46-9b5e-123456789012"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to 4915112345678: gone", "to (number ending in 78): gone"),
        ("to +49 151 12345678", "to (number ending in 78)"),
        ("+1 (415) 555-0132", "(number ending in 32)"),
        (
            "contact 4915112345678/4915112345679",
            "contact (number ending in 78)/(number ending in 79)",
        ),
        ("wamid.HBgLNDkxNTExMjM0NTY3OBUCABIYFA== failed", "(message id) failed"),
        ("mail ada.l@example.co.uk now", "mail (e-mail address) now"),
        (f"vendor {UID}", f"vendor {UID}"),
        ("since 2026-11-29 14:05:09Z, code 131056, 12,345,678 rows", None),
        ("number 106540352242922 of v", None),
        ("port 127.0.0.1:56379, 4 min, 98%", None),
        ("", None),
    ],
)
def test_what_is_masked_and_what_is_not(text: str, masked: str | None) -> None:
    assert mask(text, {"106540352242922"}) == (text if masked is None else masked)


@settings(max_examples=40)
@given(st.text(), st.from_regex(r"\A[1-9]\d{7,14}\Z"), st.text())
def test_a_phone_number_is_in_no_text(before: str, number: str, after: str) -> None:
    assert number not in mask(f"{before} {number} {after}")
