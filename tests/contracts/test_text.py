"""The text of a customer's message, by its type."""

from typing import Any

import pytest

from contracts.cloud_api.text import message_text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "text", "text": {"body": " Hello "}}, " Hello "),
        ({"type": "text", "text": {"body": ""}}, ""),
        ({"type": "button", "button": {"text": "Yes", "payload": "p"}}, "Yes"),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "A"}},
            },
            "A",
        ),
        (
            {
                "type": "interactive",
                "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "B"}},
            },
            "B",
        ),
        ({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {}}}, ""),
        ({"type": "image", "image": {"id": "1", "caption": "Look"}}, "Look"),
        ({"type": "video", "video": {"id": "1", "caption": "Look"}}, "Look"),
        ({"type": "document", "document": {"id": "1", "caption": "Read"}}, "Read"),
        ({"type": "image", "image": {"id": "1"}}, ""),
        ({"type": "audio", "audio": {"id": "1"}}, ""),
        ({"type": "location", "location": {"name": "Bridge"}}, ""),
        ({"type": "something new"}, ""),
    ],
)
def test_what_a_customer_says(message: dict[str, Any], text: str) -> None:
    assert message_text(message) == text


@pytest.mark.parametrize(
    "kind", ["reaction", "system", "unsupported", "unknown", "request_welcome", "ephemeral"]
)
def test_what_is_nothing_that_a_customer_says(kind: str) -> None:
    assert message_text({"type": kind, "text": {"body": "hello"}}) is None


@pytest.mark.parametrize("kind", [None, 5, ["text"], {}])
def test_a_message_without_a_type(kind: Any) -> None:
    assert message_text({"type": kind, "text": {"body": "hello"}}) is None
    assert message_text({}) is None


@pytest.mark.parametrize("value", [None, 5, "body", ["body"], {"body": 5}, {"body": None}, {}])
def test_shapes_that_are_not_documented(value: Any) -> None:
    assert message_text({"type": "text", "text": value}) == ""
    assert message_text({"type": "interactive", "interactive": {"button_reply": value}}) == ""
