"""Effects as PHP names them."""

from typing import Any

import pytest

from contracts.effects import SendMessage, parse_effect

MESSAGE = {"kind": "send_message", "id": "a", "message": {"type": "text", "text": {"body": "Hi"}}}


@pytest.mark.parametrize("address", [{"to": "4915"}, {"recipient": "GB.1"}])
def test_a_message_goes_to_a_number_or_a_user_id(address: dict[str, str]) -> None:
    effect = parse_effect(MESSAGE | address)
    assert isinstance(effect, SendMessage)
    assert effect.model_dump(include={"to", "recipient"}, exclude_none=True) == address


@pytest.mark.parametrize("address", [{}, {"to": None}, {"to": "", "recipient": ""}])
def test_a_message_to_nobody_is_refused(address: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="neither to nor recipient"):
        parse_effect(MESSAGE | address)
