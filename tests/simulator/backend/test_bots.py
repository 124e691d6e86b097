"""What the embedded backend matches itself, where a message comes without its matches."""

from typing import cast

import pytest

from contracts.bots import TriggerType
from simulator.backend.bots import matches
from simulator.backend.database import Row

WHOLE = {
    TriggerType.IS,
    *(TriggerType.START_PROMOTIONAL, TriggerType.STOP_PROMOTIONAL),
    *(TriggerType.START_AI_BOT, TriggerType.STOP_AI_BOT),
}


def bot(trigger_type: str, triggers: str | None) -> Row:
    return cast(Row, {"trigger_type": trigger_type, "reply_trigger": triggers})


@pytest.mark.parametrize("trigger_type", TriggerType)
def test_types(trigger_type: TriggerType) -> None:
    one = bot(trigger_type.value, "halt, Stop ")
    is_contained = trigger_type is TriggerType.CONTAINS
    assert matches(one, " STOP ") is (trigger_type in WHOLE or is_contained)
    assert matches(one, "please stop") is is_contained


def test_no_trigger() -> None:
    assert not matches(bot("is", None), "")
    assert not matches(bot("is", "0, ,"), "0")
