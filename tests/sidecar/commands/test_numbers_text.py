"""How a number stands, in words."""

from typing import Any

import pytest

from sidecar.commands.numbers_text import state_text
from sidecar.sending.numbers import Held, LastOutage, NumberState, Outage
from sidecar.sending.pauses import Paused

NOW = 1_750_000_100.0
PAUSED = Paused("number", "110", "vendor-1", 131048, "131048 spam limit", 1, False)


def number(**known: Any) -> NumberState:
    values: dict[str, Any] = {
        "number": "110",
        "vendor_uid": None,
        "configured_rate": 80.0,
        "effective_rate": 80.0,
        "asked_at": 0.0,
        "held": None,
        "account_held": None,
        "app_held": None,
        "budget": None,
        "campaigns_wanting": 0,
    }
    return NumberState(**{**values, **known})


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({}, "sends at full rate"),
        ({"effective_rate": 40.0}, "the rate is climbing"),
        (
            {"held": Held(NOW + 600, "131057")},
            "held for 10 min, until 2025-06-15 15:18:20Z: 131057",
        ),
        ({"held": Held(NOW + 9, "a"), "app_held": Held(NOW + 99, "b")}, ": b"),
        ({"held": Held(NOW + 600, "131057"), "paused": PAUSED}, "131048 spam limit"),
        ({"held": Held(1_750_000_000, "131057")}, "held for 0.0 s, until 2025-06-15 15:06:40Z: "),
        (
            {"outage": Outage("answer 502", NOW - 600)},
            "answer 502, for 10 min; one message",
        ),
        ({"outage": Outage("502", 0), "paused": PAUSED}, "131048 spam limit"),
        (
            {"last_outage": LastOutage("502", 1_749_999_980, 1_750_000_000)},
            "sends at full rate; the Cloud API was down for 20 s until 2025-06-15 15:06:40Z",
        ),
    ],
)
def test_why_it_is_slow_or_silent(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr("sidecar.commands.numbers_text.time.time", lambda: NOW)
    assert says in state_text(number(**known))
