"""The text of a message, by its type. PHP is held to the same vectors."""

from typing import Any

import pytest

from contracts.cloud_api.text import message_text, readable_text, said_text
from tests.contracts.test_answering import cases


@pytest.mark.parametrize(("message", "why", "said", "shown"), cases("messages"))
def test_what_is_said_and_what_is_read(
    message: dict[str, Any], why: str | None, said: str, shown: str | None
) -> None:
    assert said_text(message) == said
    assert message_text(message) == (None if why else said)
    assert readable_text(message) == shown


@pytest.mark.parametrize("value", [None, 5, "body", ["body"], {"body": 5}, {"body": None}, {}])
def test_shapes_that_are_not_documented(value: Any) -> None:
    assert message_text({"type": "text", "text": value}) == ""
    assert message_text({"type": "interactive", "interactive": {"button_reply": value}}) == ""
    for kind in ("text", "interactive", "location", "contacts", "order", "reaction", "system"):
        assert readable_text({"type": kind, kind: value}) is None


def test_what_is_to_be_sent_is_read_too() -> None:
    buttons = {"type": "button", "body": {"text": "Which one?"}, "action": {"buttons": []}}
    assert readable_text({"type": "interactive", "interactive": buttons}) == "Which one?"
    assert readable_text({"type": "text", "text": {"body": "Hi", "preview_url": False}}) == "Hi"
