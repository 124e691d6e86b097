"""How the Cloud API does for one line, as far as one process can see (``outages.py``)."""

import asyncio
import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.cloud_api.errors import ErrorClass, ErrorRule
from workers.sending.cloud_api import Accepted, Attempt, ErrorAnswer, NotSent, OutcomeUnknown
from workers.sending.error_policy import reason_of

#: How many times what is used the window is at most (an outage may catch all calls in it), and how
#: much of that one call tells.
_WINDOW = 1.5
_SMOOTHED = 1 / 16
#: Quicker answers than this open the window no less: it is no time to an event loop that is busy.
_QUICK_S = 0.025
#: How long the longest answers are remembered.
_LATELY_S = 60.0
_ANY = 1_000_000


class Health(StrEnum):
    """How the Cloud API does for a line, as Redis has it. ``TRIAL``: well again since not long ago.
    ``ASK`` and ``ROW``: down, and the caller is to ask it, or sends the one row that probes it."""

    WELL = ""
    TRIAL = "trial"
    DOWN = "down"
    ASK = "ask"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Tuning:
    """When there is an outage, and how it is probed. Times are seconds.

    It is one after signs of ``in_a_row`` rows without anything else in between (``looked_at``
    where all were refused although others went out within ``silence_s``), or of ``most_signs`` rows
    that were not refused among the last ``looked_at`` calls, or when nothing was answered for
    ``silence_s`` (or twice the longest time that an answer has taken lately) although ``in_a_row``
    calls wait. ``least_window`` calls may wait for their answers, or half as many again as
    wait at the same time.

    A probe follows after ``first_s``, and then after twice as long each time: ``longest_free_s`` at
    most after one that cost no row, and ``longest_paid_s`` after one that did. For ``trial_s`` the
    line is on trial then: the first call whose outcome nobody knows is enough. ``ask_s``: how long
    the answer to the question may take at most; the first ones are waited for as long as it takes
    to notice a silence, or twice that. An outage that nobody looks at is forgotten after
    ``forgotten_s``.

    ``verdict_s``: how long a refusal waits to learn whether it was the first of an outage. After
    ``most_refused`` probes whose rows were refused although the API had answered, refusals count as
    attempts: there may be no rows left but some that are always refused."""

    in_a_row: int = 3
    most_signs: int = 10
    looked_at: int = 20
    silence_s: float = 3.0
    least_window: int = 8
    first_s: float = 1.0
    longest_free_s: float = 30.0
    longest_paid_s: float = 600.0
    trial_s: float = 60.0
    verdict_s: float = 1.0
    ask_s: float = 10.0
    forgotten_s: float = 300.0
    most_refused: int = 20


def is_fault_of_service(rule: ErrorRule) -> bool:
    """Tell whether a refusal says that the service does not work, and nothing of the message."""
    return rule.error_class is ErrorClass.RETRY_SERVICE and not rule.stop_when_repeated


def sign_of(attempt: Attempt) -> str | None:
    """Return why a call is a sign of an outage, or None."""
    fault = isinstance(attempt, ErrorAnswer) and is_fault_of_service(attempt.rule)
    return (
        reason_of_attempt(attempt)
        if fault or isinstance(attempt, OutcomeUnknown | NotSent)
        else None
    )


def reason_of_attempt(attempt: Attempt | None) -> str:
    if isinstance(attempt, OutcomeUnknown | NotSent):
        return attempt.reason
    return reason_of(attempt.error) if isinstance(attempt, ErrorAnswer) else ""


def shows_that_it_works(attempt: Attempt) -> bool:
    """Tell whether an answer is the API's own. An error without a code may be of anything on the
    way."""
    if isinstance(attempt, ErrorAnswer):
        return attempt.error.code is not None and not is_fault_of_service(attempt.rule)
    return isinstance(attempt, Accepted)


@dataclass(eq=False, slots=True)
class Call:
    """A call that waits for its answer. ``at`` is when it began, and ``left`` the same on Redis's
    clock; ``probe`` is what it is known by if it probes the API, and ``spared`` whether its refusal
    is no attempt of the row's."""

    line: "Line"
    row_uid: str
    epoch: int
    at: float
    left: float
    probe: str = ""
    spared: bool = True


@dataclass(eq=False)
class Line:
    """How the calls of this process from one number end. Calls that began before the last change,
    from well to down or back, say nothing of what is now: ``epoch`` counts the changes."""

    name: str
    tuning: Tuning
    down: bool = False
    trial: bool = False
    epoch: int = 0
    rate: float = 1.0
    #: How many questions in a row were not answered.
    unanswered: int = 0
    #: The row that probes the API, and what the probe is known by.
    probe: tuple[str, str] | None = None
    _calls: dict[Call, None] = field(default_factory=dict)
    _window: float = 0.0
    #: The longest that answers took lately, and how many calls wait at the same time.
    _longest: deque[tuple[float, float]] = field(default_factory=deque)
    _used: float = 0.0
    _heard_at: float = 0.0
    _streak: set[str] = field(default_factory=set)
    _refused_alone: bool = True
    _worked_at: float = -math.inf
    _last: deque[str | None] = field(default_factory=deque)
    _verdict: asyncio.Future[bool] | None = None

    def __post_init__(self) -> None:
        self._window = float(self.tuning.least_window)
        self._last = deque(maxlen=self.tuning.looked_at)

    # -- what may be sent --

    def room(self, rate: float, planned: int) -> int:
        """Return for how many rows slots may be taken, at this rate, where so many have some."""
        self.rate = rate
        if self.down:
            return 1
        room = int(self._window) - len(self._calls)
        if room <= 0:
            return 0
        if self._window < self._most:  # it opens; the slots of more rows than that would be lost
            return max(0, room + int(self._window) - planned)
        return _ANY

    def may_start(self, row_uid: str, started: int = 0) -> bool:
        """Tell whether a row may be sent now, if so many calls were ``started`` that have not yet
        begun."""
        if self.down:
            return self.probe_of(row_uid) != ""
        return len(self._calls) + started < int(self._window)

    def probe_of(self, row_uid: str) -> str:
        """Return what the probe is known by that this row is, or ""."""
        return self.probe[1] if self.probe is not None and self.probe[0] == row_uid else ""

    @property
    def _most(self) -> float:
        needed = max(self._used, self.rate * _QUICK_S)
        return max(float(self.tuning.least_window), _WINDOW * needed)

    def silence(self) -> str | None:
        """Return that nothing is answered, in words, once that has gone on for too long."""
        few = min(self.tuning.in_a_row, int(self._window))
        if self.down or len(self._calls) < few:
            return None
        since = max(self._heard_at, next(iter(self._calls)).at)
        quiet_s = time.monotonic() - since
        if quiet_s < self._patience_s:
            return None
        return f"no answer to any of {len(self._calls)} calls for {quiet_s:.1f} s"

    @property
    def _patience_s(self) -> float:
        since = time.monotonic() - _LATELY_S
        longest = max((took for at, took in self._longest if at > since), default=0.0)
        return max(self.tuning.silence_s, 2 * longest)

    @property
    def ask_s(self) -> float:
        """How long to wait for the answer to a question now."""
        return min(self.tuning.ask_s, self._patience_s * 2.0 ** min(self.unanswered, 10))

    # -- what has come --

    def told(self, health: Health, epoch: int) -> None:
        """Take in what Redis has said; ``epoch`` is that of when it was asked."""
        if epoch != self.epoch:
            return  # it has changed since, as far as we know
        self.trial = health is Health.TRIAL
        down = health not in (Health.WELL, Health.TRIAL)
        if down != self.down:
            self.change(down=down)

    def change(self, *, down: bool) -> None:
        """Begin anew: with one call at a time, and more with each answer."""
        self.down = down
        self.epoch += 1
        self._calls.clear()
        self._window = 1.0
        self._end_streak()
        self._last.clear()
        self._heard_at = time.monotonic()
        if not down:
            self._worked_at = self._heard_at
            self.probe = None  # a row that was to be one is like any other now
        self._decide(down)

    def began(self, call: Call) -> None:
        self._calls[call] = None
        self._used += (len(self._calls) - self._used) * _SMOOTHED

    def over(self, call: Call) -> None:
        self._calls.pop(call, None)

    def ended(self, call: Call, attempt: Attempt, sign: str | None) -> bool:
        """Take in how a call has ended. Return whether that makes it an outage."""
        now = time.monotonic()
        if isinstance(attempt, Accepted | ErrorAnswer):
            took = now - call.at
            self._remember(now, took)
        if call.epoch != self.epoch:
            return False
        if not isinstance(attempt, NotSent):
            self._heard_at = now
        if sign is None:
            self._worked_at = now
            self._window = min(self._window + 1, self._most)
            self._end_streak()
            self._last.append(None)
            self._decide(False)
            return False
        # A row that is tried again, and refused again, is one sign: it may be the row. Where no
        # connection came about it is not, and the same row is tried again at once.
        what = f"{call.row_uid} {now}" if isinstance(attempt, NotSent) else call.row_uid
        refused = isinstance(attempt, ErrorAnswer)
        self._refused_alone &= refused
        self._streak.add(what)
        self._last.append(None if refused else what)
        at_once = self.trial and isinstance(attempt, OutcomeUnknown)
        in_a_row = 1 if at_once else self._in_a_row(now)
        signs = len({*self._last} - {None})
        return not self.down and (len(self._streak) >= in_a_row or signs >= self.tuning.most_signs)

    def _in_a_row(self, now: float) -> int:
        """Return how many signs in a row make it an outage. Refusals cost nothing, and may be due
        to one campaign's rows, which come some at a time among those of others: while others go
        out it takes more."""
        works = now - self._worked_at < self.tuning.silence_s
        return self.tuning.looked_at if self._refused_alone and works else self.tuning.in_a_row

    def _end_streak(self) -> None:
        self._streak.clear()
        self._refused_alone = True

    def _remember(self, now: float, took: float) -> None:
        """Keep the longest answers of the last minute, in their order."""
        while self._longest and self._longest[-1][1] <= took:
            self._longest.pop()
        self._longest.append((now, took))
        while self._longest[0][0] < now - _LATELY_S:
            self._longest.popleft()

    async def verdict(self) -> bool:
        """Return whether the signs that have come in a row were an outage's, once that is known."""
        if self.down:
            return True
        if self._verdict is None:
            self._verdict = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.tuning.verdict_s):
                return await asyncio.shield(self._verdict)
        return False

    def _decide(self, outage: bool) -> None:
        if self._verdict is not None:
            self._verdict.set_result(outage)
            self._verdict = None
