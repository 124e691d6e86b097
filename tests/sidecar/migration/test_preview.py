"""What a move would do, said before."""

import pytest

from contracts.jobs import Lane
from contracts.modes import Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.clock import now_ms
from sidecar.migration.preview import MAX_NAMED, Preview, changes, consequences
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.shadow.parity import count_name
from sidecar.shadow.recorder import day_of
from sidecar.shadow.rules import Class, Kind
from tests.conftest import MakeSettings


def asked(**modes: Mode) -> ModesChange:
    return ModesChange(vendor_uids=[], by="a test", timeout_s=7, **modes)


def vendor(uid: str = "v", **modes: Mode) -> VendorModes:
    return VendorModes(vendor_uid=uid, modes=Modes(**modes))


def test_what_changes() -> None:
    change = asked(webhooks=Mode.SIDECAR, campaigns=Mode.PHP, bots=Mode.PHP)
    assert changes(vendor(bots=Mode.SHADOW), change) == [
        "webhooks: php → sidecar",
        "bots: shadow → php",
    ]


PHP = vendor()
ON_SIDECAR = vendor(webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR)
HELD = vendor(campaigns=Mode.HELD)


@pytest.mark.parametrize(
    ("now", "change", "words"),
    [
        (PHP, asked(webhooks=Mode.SIDECAR, bots=Mode.SIDECAR), None),
        (ON_SIDECAR, asked(campaigns=Mode.SIDECAR), None),
        (PHP, asked(campaigns=Mode.PHP, webhooks=Mode.PHP), None),
        (PHP, asked(campaigns=Mode.SIDECAR), "Nobody sends the campaigns for about 10 s"),
        (HELD, asked(campaigns=Mode.SIDECAR), "Nobody sends the campaigns for about 10 s"),
        (ON_SIDECAR, asked(campaigns=Mode.PHP), "This waits for 7.0 s at most."),
        (HELD, asked(campaigns=Mode.SHADOW), "goes back to PHP's queue"),
        (ON_SIDECAR, asked(webhooks=Mode.SHADOW), "are still handed to PHP"),
    ],
)
def test_what_follows(now: VendorModes, change: ModesChange, words: str | None) -> None:
    found = list(
        consequences([PHP, now], change, 10.0) if words else consequences([now], change, 10)
    )
    assert len(found) == (1 if words else 0)
    assert (words or "") in " ".join(found)


@pytest.fixture
def preview(redis: Redis, make_settings: MakeSettings) -> Preview:
    return Preview(redis, make_settings(parity_min_updates=5, parity_min_hours=1))


async def have_compared(redis: Redis, vendor_uid: str, equal: int) -> None:
    at = now_ms()
    day = keys.parity_day(vendor_uid, day_of(at))
    for name, value in {"first": at - 7_200_000, "last": at}.items():
        await redis.hset(day, name, value)
    await redis.hset(day, count_name(Kind.STATUS, Class.EQUAL), equal)


async def test_what_is_in_flight(preview: Preview, redis: Redis) -> None:
    for number in range(MAX_NAMED + 2):
        await redis.hset(keys.LEDGERS, f"c{number}", "v")
        await redis.hset(keys.ledger(f"c{number}"), "row", "c:x")
    await redis.xadd(keys.inbox(Lane.MESSAGES, "w"), {"w": b"{}"})
    await redis.xadd(keys.inbox(Lane.MESSAGES, "other"), {"w": b"{}"})
    found = await preview.read([vendor("v"), vendor("w")], asked(bots=Mode.SHADOW))
    assert len([words for words in found if words.startswith("In flight: campaign c")]) == MAX_NAMED
    assert found[-2:] == ["2 more campaigns are in flight.", "In the inbox of w: 1 webhook."]


async def test_how_ready_they_are(preview: Preview, redis: Redis) -> None:
    await have_compared(redis, "a", 5)
    await have_compared(redis, "b", 4)
    vendors = [vendor(uid) for uid in "abc"] + [vendor("d", webhooks=Mode.SIDECAR)]
    assert await preview.read(vendors, asked(webhooks=Mode.SIDECAR)) == [
        "Shadow: a is ready.",
        "Shadow: b is not ready: 4 updates were compared, and it takes 5.",
        "Shadow has compared nothing of c.",
    ]
    assert await preview.read(vendors, asked(webhooks=Mode.SHADOW)) == [
        "Webhooks that are in the inbox are still handed to PHP."
    ]
    assert await preview.read([vendor("a")], asked(campaigns=Mode.SIDECAR)) == [
        "Nobody sends the campaigns for about 10 s (cron_settle_s), so that PHP's cron ends what "
        "it has in hand.",
        "Shadow: a is ready.",
        "Shadow has compared no message of a campaign of a.",
    ]
    many = [vendor(str(number)) for number in range(MAX_NAMED + 3)]
    assert (await preview.read(many, asked(bots=Mode.SIDECAR)))[-1] == (
        "sidecar parity tells of the other 3."
    )
