"""How numbers stand, and resuming those that are paused."""

from typing import Any

import pytest

from contracts.backend import PhoneNumber, VendorConfig
from sidecar.ops.numbers import lines_of, read_lines, resume, resumed_text, state_text
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.numbers import Held, LastOutage, NumberState, Outage
from sidecar.sending.pauses import Paused, Pauses
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.limiter import Limiter

NOW = 1_750_000_100.0
PAUSED = Paused("number", "110", "vendor-1", 131048, "131048 spam limit", 1, False)
LOCKED = Paused("account", "waba", "a", 131031, "131031 locked", 2)


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
        ({"idle": True}, "idle"),
        ({"effective_rate": 40.0}, "the rate is climbing"),
        (
            {"held": Held(NOW + 600, "131057")},
            "held for 10 min, until 2025-06-15 15:18:20Z: 131057",
        ),
        ({"held": Held(NOW + 9, "a"), "app_held": Held(NOW + 99, "b")}, ": b"),
        ({"held": Held(NOW + 600, "131057"), "paused": PAUSED}, "paused: 131048 spam limit"),
        ({"paused": LOCKED}, "paused, as its account waba is: 131031 locked"),
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
    monkeypatch.setattr("sidecar.ops.numbers.time.time", lambda: NOW)
    assert says in state_text(number(**known))


SPAM = [Paused("number", "110", vendor, 131048, "131048 spam limit", 1, False) for vendor in "ab"]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["110"], [LOCKED]),
        ([SPAM[0].name], [SPAM[1], LOCKED]),
        (["a"], [SPAM[1], LOCKED]),
        (["waba", "b"], [SPAM[0]]),
        (["c"], [*SPAM, LOCKED]),
    ],
)
async def test_resuming_by_name(redis: Redis, names: list[str], left: list[Paused]) -> None:
    pauses = Pauses(redis)
    for one in (*SPAM, LOCKED):
        await pauses.put(one)
    resumed, missing = await resume(redis, names)
    assert await pauses.all() == left
    assert missing == (["c"] if names == ["c"] else [])
    assert len(resumed) == 3 - len(left)


def test_what_was_resumed() -> None:
    assert resumed_text(LOCKED) == "resumed account waba, which was paused for: 131031 locked"


async def test_lines_and_those_of_a_vendor(redis: Redis) -> None:
    lease = await held_lease(redis, "campaign-1")
    for line in ("v-1/110", "v-2/110", "111", "v-1/112"):
        number_ = line.rpartition("/")[2]
        await Limiter(redis).grant(lease, "campaign-1", limits(80.0, number_, line=line), ["999"])
    await redis.delete(keys.number("v-1/112"))
    lines = dict(await read_lines(redis))
    assert list(lines) == ["v-1/110", "v-2/110", "111", "v-1/112"]
    assert lines["v-1/112"] is None
    config = VendorConfig(
        vendor_uid="v-1",
        current_phone_number_id="110",
        phone_numbers=[PhoneNumber(phone_number_id=id_) for id_ in ("111", "112")],
    )
    assert [line for line, _ in await lines_of(redis, config)] == ["v-1/110", "111", "v-1/112"]
