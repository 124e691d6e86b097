"""Outages of the Cloud API: noticing that it does not work, and that it works again.

Each process watches how its calls end, for each *line* (``limits.py``). A sign of an outage is a
call whose outcome nobody knows, one for which no connection came about, and an answer that says
that the service does not work. After some signs the outage is written to Redis, where it holds all
workers (``lua/sending/outage.lua``). Then one probe at a time is made (``lua/sending/grant.lua``):
the API is asked something that costs no row, and only if it answers one row is sent. If that works,
all go on.

How many calls may be without an answer is bounded by a window, like TCP's, so that an API that
swallows requests gets few before its silence is noticed (``line_health.py``).
"""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from sidecar.logs import LogOnce
from sidecar.metrics import CLOUD_API_OUTAGES, CLOUD_API_PROBES, METRICS
from sidecar.redis import keys
from sidecar.redis.client import AnyRedisError, Redis, script
from workers.sending.cloud_api import Attempt, ErrorAnswer, OutcomeUnknown
from workers.sending.line_health import (
    Call,
    Line,
    Tuning,
    reason_of_attempt,
    shows_that_it_works,
    sign_of,
)

log = structlog.get_logger()

#: A refusal that is the outage's and not the row's returns to PHP's queue for so long: other rows
#: are to be tried before it.
SPARED_S = 10.0


class _Clock(Protocol):
    def now(self) -> float: ...


class Outages:
    """The lines of this process. Belongs to one event loop. ``stretch`` is what pauses are
    multiplied by, so that not everybody comes back at once."""

    def __init__(
        self, redis: Redis, clock: _Clock, tuning: Tuning, stretch: Callable[[], float]
    ) -> None:
        self.tuning = tuning
        self._clock = clock
        self._stretch = stretch
        self._lines: dict[str, Line] = {}
        self._begin = script(redis, "sending/outage")
        self._probed = script(redis, "sending/probed")
        self._unwritten = LogOnce("cloud_api.outage_not_written")

    def line(self, name: str) -> Line:
        if name not in self._lines:
            self._lines[name] = Line(name, self.tuning)
        return self._lines[name]

    def began(self, line_name: str, row_uid: str) -> Call:
        """Note that a call for a row begins. :meth:`over` follows in any case, and :meth:`ended` if
        it has ended."""
        line = self.line(line_name)
        call = Call(line, row_uid, line.epoch, time.monotonic(), self._clock.now())
        if probe := line.probe_of(row_uid):
            call.probe, line.probe = probe, None
        line.began(call)
        return call

    def over(self, call: Call) -> None:
        call.line.over(call)

    async def ended(self, call: Call, attempt: Attempt) -> bool:
        """Take in how a call has ended. Return whether it was refused in a way that may be an
        outage's: the row was certainly not sent, and :meth:`caused` tells whether it is one."""
        line, sign = call.line, sign_of(attempt)
        begins = line.ended(call, attempt, sign)
        if call.probe or (line.down and shows_that_it_works(attempt)):
            await self._has_probed(call, attempt)
        elif begins:
            await self.begin(line, sign or "", call.left)
        return isinstance(attempt, ErrorAnswer) and sign is not None

    async def caused(self, call: Call) -> bool:
        """Return whether an outage is the cause of a call's refusal, so that it is no attempt of
        the row's. For the first ones in a row that may take a moment."""
        line = call.line
        if call.probe:
            return call.spared
        return call.epoch != line.epoch or await line.verdict()

    async def not_made(self, line_name: str, row_uid: str) -> None:
        """Have another row take the place of one that was to probe the API, if it was, and for
        which no call is made."""
        line = self.line(line_name)
        if probe := line.probe_of(row_uid):
            line.probe = None
            await self._note(line, probe, "asked", "", 0.0)

    async def check(self, line: Line) -> None:
        """Begin an outage if nothing is answered any more."""
        if (reason := line.silence()) is not None:
            await self.begin(line, reason, self._clock.now(), silent=True)

    async def begin(self, line: Line, reason: str, left: float, *, silent: bool = False) -> None:
        """Note an outage, which a send has shown that left then (unix seconds on Redis's clock)."""
        line.change(down=True)
        tuning = self.tuning
        try:
            began = await self._begin(
                keys=[keys.outage(line.name)],
                args=[
                    *(_us(left), reason[:500], int(silent)),
                    *(_us(tuning.first_s), self._stretch(), _us(tuning.forgotten_s)),
                ],
            )
        except AnyRedisError as error:
            # Whoever asks for slots next is told by Redis how it stands.
            self._unwritten.failed(str(error))
            return
        self._unwritten.worked()
        if began == 0:
            line.change(down=False)
        elif began == 1:
            METRICS.counter(CLOUD_API_OUTAGES).add()
            log.error("cloud_api.outage_began", line=line.name, reason=reason)

    async def asked(self, line: Line, probe: str, attempt: Attempt | None) -> None:
        """Note what came of asking the API (:meth:`CloudApi.ask`)."""
        answers = attempt is None or shows_that_it_works(attempt)
        METRICS.counter(CLOUD_API_PROBES, "answered" if answers else "no_answer").add()
        line.unanswered = 0 if answers else line.unanswered + 1
        how, reason = "asked" if answers else "failed", reason_of_attempt(attempt)
        await self._note(line, probe, how, reason, self.tuning.longest_free_s)

    async def _has_probed(self, call: Call, attempt: Attempt) -> None:
        works, unknown = shows_that_it_works(attempt), isinstance(attempt, OutcomeUnknown)
        if call.probe:
            METRICS.counter(CLOUD_API_PROBES, "worked" if works else "failed").add()
        refused = isinstance(attempt, ErrorAnswer)
        how = "worked" if works else "refused" if refused else "failed"
        longest_s = self.tuning.longest_paid_s if unknown else self.tuning.longest_free_s
        reason = reason_of_attempt(attempt)
        times = await self._note(call.line, call.probe, how, reason, longest_s, call.left)
        call.spared = times <= self.tuning.most_refused

    async def _note(
        self,
        line: Line,
        probe: str,
        how: str,
        reason: str,
        longest_s: float,
        left: float = 0.0,
    ) -> int:
        """Have Redis know how a probe has ended. Return how many rows were refused by now."""
        tuning = self.tuning
        try:
            refused, *ended = await self._probed(
                keys=[keys.outage(line.name)],
                args=[
                    *(probe, how, _us(left), reason[:500], _us(longest_s), self._stretch()),
                    *(_us(tuning.forgotten_s), _us(tuning.trial_s)),
                ],
            )
        except AnyRedisError as error:
            # The probe's time is over some time, and another one is made.
            self._unwritten.failed(str(error))
            return 0
        self._unwritten.worked()
        if ended:
            since, why, now = ended
            line.change(down=False)
            line.trial = True
            log.warning(
                "cloud_api.outage_ended",
                line=line.name,
                reason=why.decode(errors="replace"),
                seconds=round((now - since) / 1e6, 1),
            )
        return int(refused)


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
