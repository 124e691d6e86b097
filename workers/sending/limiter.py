"""The limiter: when a number may send, exact over all workers on all machines.

Every number has a queue of slots, evenly spaced in time, on Redis's clock. A caller takes the next
few for its rows and learns when they are; nobody polls, and no slot is given out twice. A slot that
is not used (its worker died) is lost, so no limit is ever exceeded. The same script keeps to the
limits of recipients, accounts, apps and portfolios, and shares a number between its campaigns
(``sidecar/redis/lua/sending/grant.lua``, ``docs/decisions/0004-limiter.md``).
"""

import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.metrics import LIMITER_WAIT_SECONDS, LIMITER_WAITS, METRICS, SLOTS
from sidecar.redis import keys
from sidecar.redis.client import Redis, script
from sidecar.redis.lease import Lease
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.numbers import NumberState, number_state
from sidecar.sending.pauses import Paused
from workers.sending.holds import THROTTLED, Hold, Scope
from workers.sending.ledger import BEGIN_AHEAD_S, refuse
from workers.sending.limits import Limits
from workers.sending.line_health import Health, Tuning
from workers.sending.outages import Outages

#: How far ahead slots are given out. Long enough to hide a round trip, short enough to stop at
#: once.
AHEAD_S = 0.25

#: A pause is longer by up to this share, so that not everybody comes back at the same moment.
_JITTER = 0.25

#: How fast the offset between the clocks may grow, in seconds per second, in case one drifts.
_DRIFT = 0.001
#: What lies this far below an answer of its clock was set back, and has not drifted.
_SET_BACK_S = 0.05

#: Answers of the script that only slots have.
_PAUSED, _RESTS = -4, -5


@dataclass(frozen=True, slots=True)
class Grant:
    """``count`` slots for the rows asked for, in their order, without those that are ``refused``:
    by their place, for how long their recipients have had enough. The first slot is in ``delay_s``
    seconds and the others are ``gap_s`` apart. It makes sense to ask again in ``again_s``.

    ``clock_s`` is Redis's clock at that moment. ``reason`` says why nothing goes out now, where
    that is a hold, an outage or a budget, and not just the rate. ``health`` is how the Cloud API
    does; for a probe ``probe`` is what it is known by.
    """

    count: int
    delay_s: float
    gap_s: float
    again_s: float
    clock_s: float
    refused: dict[int, float]
    reason: str | None
    health: Health = Health.WELL
    probe: str = ""


class NumberPaused(Exception):
    """The number, its account or the access token is paused, until a person resumes it. The text
    says why."""


class CampaignRests(Exception):
    """The campaign has been told to rest for a while."""


class RedisClock:
    """Redis's clock, on which the slots of all workers are spaced, as far as its answers tell.

    An answer comes after the moment that it tells of, so the offset that follows from it is too
    large by its way: the quickest answer is the best. A smaller offset counts at once, a larger
    one slowly, so that a slow answer does not move slots together. A larger one that even the
    question's time would give tells that Redis's clock was set back.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset: float | None = None
        self._told_at = 0.0

    def told(self, redis_s: float, asked_at: float | None = None) -> None:
        """Take in an answer that has just come, with what Redis's clock said in it. ``asked_at`` is
        when the question left (``time.monotonic``)."""
        now = self._monotonic()
        offset = now - redis_s
        if self._offset is not None:
            most = self._offset + _DRIFT * (now - self._told_at)
            set_back = asked_at is not None and asked_at - redis_s > most + _SET_BACK_S
            offset = offset if set_back else min(offset, most)
        self._offset = offset
        self._told_at = now

    def now(self) -> float:
        """Return unix seconds on Redis's clock; on this machine's as long as Redis has told
        nothing."""
        return self._wall() if self._offset is None else self._monotonic() - self._offset

    def local(self, redis_s: float) -> float:
        """Return when that is on ``time.monotonic``."""
        return self._monotonic() + redis_s - self.now()


class Limiter:
    """``clock`` learns Redis's time from the answers. ``jitter`` returns 0 to 1. ``outages`` knows
    how the Cloud API does, for each number."""

    def __init__(
        self,
        redis: Redis,
        *,
        jitter: Callable[[], float] = random.random,
        tuning: Tuning | None = None,
    ) -> None:
        self._redis = redis
        self._grant = script(redis, "sending/grant")
        self._hold = script(redis, "sending/hold")
        self._hold_pair = script(redis, "sending/hold_pair")
        self._jitter = jitter
        self._probes = map(str, itertools.count(1))
        self.clock = RedisClock()
        self.outages = Outages(
            redis, self.clock, tuning or Tuning(), lambda: 1 + _JITTER * self._jitter()
        )

    async def grant(
        self,
        lease: Lease,
        campaign_uid: str,
        limits: Limits,
        recipients: list[str],
        *,
        unsent: Sequence[str] = (),
        urgent: bool = False,
        more: bool = False,
    ) -> Grant:
        """Take slots for rows to these recipients, as many as there are now. ``unsent`` are
        recipients that have had slots before and certainly no message. ``urgent`` goes before all
        that is not, and answers people, which no daily limit counts. ``more`` rows wait behind
        these, so that others share, or yield, even if all of these get slots. Raises
        :class:`Halted`, :class:`LeaseLost`, :class:`NumberPaused`, :class:`CampaignRests`."""
        line, pauses = limits.line, limits.pauses
        probe = f"{campaign_uid}:{lease.token}:{next(self._probes)}"
        api, asked_at = self.outages.line(line), time.monotonic()
        epoch = api.epoch
        count, *rest = await self._grant(
            keys=[
                keys.lease(campaign_lease(campaign_uid)),
                keys.halt(campaign_uid),
                keys.number(line),
                keys.hold(Scope.ACCOUNT, limits.account),
                keys.hold(Scope.APP, limits.app),
                keys.turns(line),
                keys.wanting(line),
                keys.recipients(limits.portfolio),
                keys.pair(line, ""),
                keys.NUMBERS,
                keys.PAUSES,
                keys.wait(campaign_uid),
                keys.urgent(line),
                keys.outage(line),
                keys.blocked(campaign_uid),
            ],
            args=[
                lease.token,
                campaign_uid,
                limits.rate,
                _us(AHEAD_S),
                _us(BEGIN_AHEAD_S),
                0 if urgent else limits.daily_recipients or 0,
                int(urgent),
                int(more),
                probe,
                _us(self.outages.tuning.ask_s + _JITTER),
                len(unsent),
                len(pauses),
                *pauses,
                *unsent,
                *recipients,
            ],
        )
        refuse(count, campaign_uid)
        if count == _PAUSED:
            raise NumberPaused(Paused.load(rest[0]))
        if count == _RESTS:
            raise CampaignRests(campaign_uid)
        delay, gap, again, clock, reason, state, *refused = rest
        self.clock.told(clock / 1e6, asked_at)
        health = Health(state.decode())
        api.told(health, epoch)
        METRICS.counter(SLOTS).add(count)
        if count == 0:
            METRICS.counter(LIMITER_WAITS).add()
            METRICS.counter(LIMITER_WAIT_SECONDS).add(again / 1e6)
        return Grant(
            count=count,
            delay_s=delay / 1e6,
            gap_s=gap / 1e6,
            again_s=again / 1e6,
            clock_s=clock / 1e6,
            refused={
                row: wait / 1e6 for row, wait in zip(refused[::2], refused[1::2], strict=True)
            },
            reason=reason.decode(errors="replace") or None,
            health=health,
            probe=probe if health in (Health.ASK, Health.ROW) else "",
        )

    async def hold(self, limits: Limits, hold: Hold, *, sent_at: float) -> None:
        """Hold what a refusal says that must be held. ``sent_at`` is when the send left, unix
        seconds on Redis's clock: a send that left before the last pause was over says nothing
        new, so a burst of refusals counts as one."""
        key = {
            Scope.NUMBER: keys.number(limits.line),
            Scope.ACCOUNT: keys.hold(Scope.ACCOUNT, limits.account),
            Scope.APP: keys.hold(Scope.APP, limits.app),
        }[hold.pause.scope]
        await self._put(key, hold, sent_at)

    async def throttled(
        self, line: str, sent_at: float, reason: str = "130429 throughput of the number reached"
    ) -> None:
        """Slow a number down: a message that was sent at that time (unix seconds) was refused for
        its speed, which a status told later."""
        await self._put(keys.number(line), Hold(THROTTLED, reason), sent_at)

    async def _put(self, key: str, hold: Hold, sent_at: float) -> None:
        pause = hold.pause
        stretch = 1 + _JITTER * self._jitter()
        await self._hold(
            keys=[key],
            args=[
                *(_us(sent_at), _us(pause.first_s), _us(pause.longest_s), stretch),
                *(hold.reason, int(pause.slow)),
            ],
        )

    async def hold_pair(self, line: str, recipient: str, seconds: float) -> None:
        """Give this recipient nothing from this number for so long, or longer where it has had
        too much before."""
        await self._hold_pair(keys=[keys.pair(line, recipient)], args=[_us(seconds)])

    async def state(self, line: str) -> NumberState | None:
        """Return how a number stands and why it is slow, or None if nobody has asked for slots of
        it lately."""
        return await number_state(self._redis, line)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
