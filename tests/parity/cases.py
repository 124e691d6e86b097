"""Random vendors and messages."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.bots import Bot, BotHours, MatchingRules, TriggerType, VendorBots
from tests.parity.text import Text

MESSAGES = 5
_TYPES = (*TriggerType, *(TriggerType.IS, TriggerType.CONTAINS_WORD), "unknown")
_ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia"),
    *("Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Chatham"),
    *("Asia/Tehran", "Etc/GMT+5"),
)
_WRONG_ZONES = ("", "Europe/Atlantis", "Europe", "../UTC", "utc2", "+02:00", "europe/berlin", "\0")
_WRONG_TIMES = ("", "9:00", "24:00", "12:60", "12:00:00", " 09:00", "09:00\n", "noon", "٠٩:٠٠")
#: Changes of the clock, in Berlin, New York and on Lord Howe.
_CHANGES = (1743296400, 1761440400, 1741503600, 1762063200, 1743865200, 1759590000)


@dataclass(frozen=True)
class Case:
    """One message to one vendor, at unix seconds."""

    vendor: VendorBots
    message: bytes
    at: int


def cases(seed: int, rules: MatchingRules) -> Iterator[list[Case]]:
    """Return cases without end, the same for the same seed; those of one list share a vendor."""
    draw = random.Random(seed)
    while True:
        text = Text(draw)
        vendor = _vendor(draw, text, rules)
        triggers = [
            trigger for bot in vendor.bots for trigger in (bot.reply_trigger or "").split(",")
        ]
        yield [
            Case(vendor, text.message(triggers), _at(draw, vendor.hours)) for _ in range(MESSAGES)
        ]


def _vendor(draw: random.Random, text: Text, rules: MatchingRules) -> VendorBots:
    bots = [
        Bot(
            bot_uid=f"bot-{number}",
            trigger_type=draw.choice(_TYPES),
            reply_trigger=text.reply_trigger(),
            active=draw.random() < 0.95,
        )
        for number in range(draw.choice((1, 2, 5, 10, 20)))
    ]
    hours = _hours(draw) if draw.random() < 0.3 else None
    return VendorBots(vendor_uid="vendor", bots=bots, hours=hours, rules=rules)


def _hours(draw: random.Random) -> BotHours:
    start = f"{draw.randrange(24):02}:{draw.choice((0, 0, 30, 59)):02}"
    end = draw.choice((start, f"{draw.randrange(24):02}:{draw.randrange(60):02}", "00:00", "23:59"))
    if draw.random() < 0.05:
        start = draw.choice(_WRONG_TIMES)
    if draw.random() < 0.05:
        end = draw.choice(_WRONG_TIMES)
    types = draw.sample(list(TriggerType), draw.randint(0, 6)) if draw.random() < 0.7 else None
    zone = draw.choice(_WRONG_ZONES if draw.random() < 0.05 else _ZONES)
    return BotHours(start=start, end=end, timezone=zone, trigger_types=types)


def _at(draw: random.Random, hours: BotHours | None) -> int:
    """Return a moment: mostly one at which the hours begin or end, or the clock changes."""
    kind = draw.random()
    if kind < 0.2:
        return draw.choice(_CHANGES) + draw.randint(-7200, 7200)
    moment = draw.randint(1577836800, 1893456000)
    if kind < 0.5 or hours is None or hours.timezone not in _ZONES:
        return moment
    time = draw.choice((hours.start, hours.end))
    if time in _WRONG_TIMES:
        return moment
    local = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(hours.timezone))
    hour, minute = map(int, time.split(":"))
    edge = local.replace(hour=hour, minute=minute, second=0)
    return int((edge + timedelta(seconds=draw.choice((-1, 0, 1, 59, 60)))).timestamp())
