"""How fast the numbers are, and why one of them is slow.

A number has a *line* for each vendor that sends from it, or one for all those for whom Meta has
confirmed it: its name in Redis (``workers/sending/limits.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import orjson
from redis.asyncio.client import Pipeline

from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis
from sidecar.sending.pauses import Paused

_DAY_US = 86_400_000_000
#: Who has something to send asks for slots every second; after this nobody has.
_IDLE_US = 60_000_000
#: A probe that has been due for so long is made by nobody: who has something to send asks every
#: second.
_UNTRIED_US = 5_000_000


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing goes out until then (unix seconds), and why."""

    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Budget:
    """Recipients of the portfolio in the last 24 hours. ``free_at`` (unix seconds) is when the
    next new one may be written to, if all are used."""

    used: int
    limit: int
    free_at: float | None


@dataclass(frozen=True, slots=True)
class Outage:
    """The Cloud API does not work for the line: why, and since when (unix seconds). One message at
    a time is tried (``lua/sending/outage.lua``)."""

    reason: str
    since: float

    def __str__(self) -> str:
        return f"the Cloud API is down: {self.reason}"


@dataclass(frozen=True, slots=True)
class LastOutage:
    """One that is over; ``until`` is when it ended (unix seconds)."""

    reason: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class NumberState:
    """``vendor_uid`` is whose line it is; None: of all vendors that have the number. Rates are
    messages per second: ``configured_rate`` is what is asked for, and ``effective_rate`` what was
    given when slots were asked for last, at ``asked_at`` (unix seconds). ``held``,
    ``account_held`` and ``app_held`` are None where nothing is held; ``paused`` is what a person
    has to resume, the number, its account or the access token. ``campaigns_wanting`` counts the
    campaigns that would send faster if they could. ``idle``: nobody has asked for slots for a
    minute. ``last_outage`` is told for an hour. ``account``
    and ``app`` are names (``workers/sending/limits.py``). What was is never in the future, whatever
    Redis's clock did."""

    number: str
    vendor_uid: str | None
    configured_rate: float
    effective_rate: float
    asked_at: float
    held: Held | None
    account_held: Held | None
    app_held: Held | None
    budget: Budget | None
    campaigns_wanting: int
    paused: Paused | None = None
    outage: Outage | None = None
    last_outage: LastOutage | None = None
    account: str = ""
    app: str = ""
    idle: bool = False

    @property
    def line(self) -> str:
        """Which number it is, in words."""
        return line_text(self.number, self.vendor_uid)

    @property
    def holds(self) -> list[Held]:
        """What holds it now, for itself, its account or its app."""
        return [held for held in (self.held, self.account_held, self.app_held) if held]

    @property
    def present_rate(self) -> float:
        """Messages per second that may go out at most now; while the Cloud API does not answer, one
        at a time is tried."""
        silent = self.paused or self.outage or self.holds
        return 0.0 if silent else self.effective_rate

    @property
    def reason(self) -> str | None:
        """Why the number is slower than configured, or None."""
        if self.paused is not None:
            return str(self.paused)
        if self.outage is not None:
            return str(self.outage)
        if self.holds:
            return max(self.holds, key=lambda held: held.until).reason
        if self.budget is not None and self.budget.free_at is not None:
            return f"{self.budget.limit} recipients of the portfolio in 24 hours are used up"
        if self.effective_rate < self.configured_rate:
            return "throttled not long ago; the rate is climbing"
        return None


def line_text(number: str, vendor_uid: str | None) -> str:
    return number if vendor_uid is None else f"{number} of vendor {vendor_uid}"


def number_of(line: str) -> tuple[str, str | None]:
    """Return a line's number, and its vendor if it has one."""
    vendor_uid, slash, number = line.partition("/")
    return (number, vendor_uid) if slash else (line, None)


async def numbers(redis: Redis) -> list[str]:
    """Return the lines for which slots were asked for within a day."""
    members = cast(list[bytes], await redis.zrange(keys.NUMBERS, 0, -1))
    return [member.decode().removeprefix(keys.number("")) for member in members]


async def number_state(redis: Redis, line: str) -> NumberState | None:
    """Return how a line stands, or None if nobody has asked for slots of it lately."""
    [state] = await number_states(redis, [line])
    return state


async def number_states(redis: Redis, lines: Sequence[str]) -> list[NumberState | None]:
    """Return how lines stand, in as many round trips as one takes."""
    pipeline = redis.pipeline(transaction=False)
    _ask_for_time(pipeline)
    for line in lines:
        pipeline.hgetall(keys.number(line))
    (seconds, micros), *hashes = await pipeline.execute()
    now_us = int(seconds) * 1_000_000 + int(micros)
    known = {line: found for line, found in zip(lines, hashes, strict=True) if b"rate" in found}
    pipeline = redis.pipeline(transaction=False)
    for line, found in known.items():
        _ask(pipeline, line, found, now_us)
    answers = iter(await pipeline.execute() if known else [])
    states = {
        line: _state(line, found, now_us, *islice(answers, _QUESTIONS))
        for line, found in known.items()
    }
    return [states.get(line) for line in lines]


def _ask_for_time(pipeline: Pipeline) -> None:
    pipeline.time()


_QUESTIONS = 8


def _ask(pipeline: Pipeline, line: str, known: Hash, now_us: int) -> None:
    daily, recipients = int(known[b"daily"]), known[b"recipients"]
    pipeline.hgetall(known[b"account"])
    pipeline.hgetall(known[b"app"])
    pipeline.zcount(keys.wanting(line), now_us, "+inf")
    pipeline.zscore(keys.NUMBERS, keys.number(line))
    pipeline.zcount(recipients, now_us - _DAY_US, "+inf")
    # The one that has to leave before there is room for another.
    pipeline.zrevrangebyscore(
        recipients, "+inf", now_us - _DAY_US, max(0, daily - 1), 1, withscores=True
    )
    pipeline.hmget(keys.PAUSES, orjson.loads(known[b"pauses"]))
    pipeline.hgetall(keys.outage(line))


def _state(line: str, known: Hash, now_us: int, *answers: Any) -> NumberState:
    account, app, wanting, asked_us, used, leaving, pauses, outage = answers
    rate, daily = float(known[b"rate"]), int(known[b"daily"])
    budget = None
    if daily:
        free_us = leaving[0][1] + _DAY_US if leaving else None
        budget = Budget(used, daily, free_us / 1e6 if free_us else None)
    number, vendor_uid = number_of(line)
    return NumberState(
        number=number,
        vendor_uid=vendor_uid,
        configured_rate=rate,
        effective_rate=rate * float(known[b"share"]),
        asked_at=min(asked_us or 0, now_us) / 1e6,
        held=_held(known, now_us),
        account_held=_held(account, now_us),
        app_held=_held(app, now_us),
        budget=budget,
        campaigns_wanting=wanting,
        paused=next((Paused.load(value) for value in pauses if value is not None), None),
        outage=_outage(outage, now_us),
        last_outage=_last_outage(outage, now_us),
        account=known[b"account"].decode().removeprefix(keys.hold("account", "")),
        app=known[b"app"].decode().removeprefix(keys.hold("app", "")),
        idle=now_us - (asked_us or 0) > _IDLE_US,
    )


def _held(hold: Hash, now_us: int) -> Held | None:
    until_us = _time(hold, b"until", now_us)
    if until_us <= now_us:
        return None
    return Held(until_us / 1e6, hold[b"reason"].decode(errors="replace"))


def _outage(outage: Hash, now_us: int) -> Outage | None:
    """Return the outage that keeps something back. Where the next probe has been due for a while
    and nobody makes it, nobody has anything to send, and nobody knows whether it is over."""
    if b"since" not in outage:
        return None
    due_us = max(_time(outage, name, now_us) for name in (b"until", b"probe_until"))
    if now_us > due_us + _UNTRIED_US:
        return None
    reason = outage[b"reason"].decode(errors="replace")
    return Outage(reason, _time(outage, b"since", now_us) / 1e6)


def _last_outage(outage: Hash, now_us: int) -> LastOutage | None:
    if b"last_reason" not in outage:  # somebody has lifted it, so nobody knows when it was over
        return None
    since, until = (_time(outage, name, now_us) / 1e6 for name in (b"last_since", b"last_until"))
    return LastOutage(outage[b"last_reason"].decode(errors="replace"), since, until)


def _time(found: Hash, name: bytes, now_us: int) -> int:
    """Return a time as ``lua/sending/held.lua`` counts it: if Redis's clock was set back since
    somebody looked last, the time moves with it."""
    return int(found.get(name, 0)) - max(0, int(found.get(b"looked", 0)) - now_us)
