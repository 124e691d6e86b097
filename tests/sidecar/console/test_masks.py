"""What the role look sees of personal data."""

import pytest

from contracts.console import Role
from sidecar.console.masks import ids, phone, text
from sidecar.console.sessions import Origin, User

VIEWER, OPERATOR = (
    User("ada", role, Origin.PASSWORD, "token", "session") for role in (Role.LOOK, Role.OPERATE)
)


@pytest.mark.parametrize(
    ("number", "masked"),
    [("+49 170 1234567", "•••• 67"), ("49170", "•••• 70"), ("1234", "••••"), ("", ""), (None, "")],
)
def test_phone_numbers(number: str | None, masked: str) -> None:
    assert phone(number, VIEWER) == masked
    assert phone(number, OPERATOR) == (number or "")


@pytest.mark.parametrize(
    ("written", "masked"),
    [("Dear Ada", "(8 characters)"), ("x", "(1 character)"), ("", ""), (None, "")],
)
def test_texts(written: str | None, masked: str) -> None:
    assert text(written, VIEWER) == masked
    assert text(written, OPERATOR) == (written or "")


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("sent as wamid.HBgMOTk5NzAwMDAwMDAxFQIAERgSQTM3: read", "sent as wamid…ERgSQTM3: read"),
        ("message wamid.1", "message wamid.1"),
        ("", ""),
        (None, ""),
    ],
)
def test_ids_of_messages(said: str | None, masked: str) -> None:
    assert ids(said, VIEWER) == masked
    assert ids(said, OPERATOR) == (said or "")
