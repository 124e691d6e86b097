"""Faults on demand: what is to go wrong, for which sends, and how often."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from pydantic import Field, model_validator

from contracts.lenient import StrictModel
from simulator.cloud_api.clock import Clock
from simulator.cloud_api.garbage import GARBAGE
from simulator.cloud_api.recipient import digits_of


class FaultKind(StrEnum):
    #: Refused with ``code``.
    ERROR = "error"
    #: Refused with 130429. ``seconds``: how long the rule lasts.
    THROTTLE = "throttle"
    #: Not accepted; answered 500 with an empty body.
    HTTP_500 = "http_500"
    #: Not accepted; answered 500 with a gateway's HTML page.
    HTML_500 = "html_500"
    #: Not accepted; answered 503 with an empty body: the service is not there.
    HTTP_503 = "http_503"
    #: Not accepted; the connection is reset before the body is read.
    RESET_BEFORE_READ = "reset_before_read"
    #: Accepted, but the connection is reset instead of an answer.
    RESET_AFTER_ACCEPT = "reset_after_accept"
    #: Accepted, but no answer comes for ``seconds``; then the connection is closed.
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"
    #: Accepted at once, answered after ``seconds``.
    SLOW = "slow"
    #: Answered with what no Cloud API answers (``garbage``), and accepted, unless that is an error.
    #: A trickle takes ``seconds``.
    GARBAGE = "garbage"


#: ``seconds`` of a rule that gives none.
_DEFAULT_SECONDS = {
    FaultKind.TIMEOUT_AFTER_ACCEPT: 60.0,
    FaultKind.SLOW: 1.0,
    FaultKind.GARBAGE: 5.0,
}


class FaultSpec(StrictModel):
    """A rule as it is asked for. Of several that apply to a send, the oldest one does."""

    kind: FaultKind
    #: Error code of kind ``error``; also one that is not documented.
    code: int | None = Field(default=None, ge=0)
    #: Which of :data:`~simulator.cloud_api.garbage.GARBAGE` kind ``garbage`` answers.
    garbage: str | None = None
    #: See the kinds; without a meaning for the others.
    seconds: float | None = Field(default=None, gt=0)
    #: How many sends to hit; null: all, until the rules are cleared.
    times: int | None = Field(default=None, ge=1)
    #: Probability that a send is hit.
    share: float = Field(default=1.0, ge=0, le=1)
    #: Only sends from this number.
    phone_number_id: str | None = None
    #: Only sends to this number (its digits are compared) or user id.
    to: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "FaultSpec":
        if (self.kind is FaultKind.ERROR) != (self.code is not None):
            raise ValueError("`code` belongs to kind `error`, and that kind needs one")
        if (self.kind is FaultKind.GARBAGE) != (self.garbage in GARBAGE):
            raise ValueError(f"`garbage` belongs to kind `garbage`, and is one of {list(GARBAGE)}")
        if self.kind is FaultKind.RESET_BEFORE_READ and self.to is not None:
            raise ValueError("`to` cannot be known before the body is read: leave it out")
        return self


@dataclass(slots=True)
class Fault:
    """A rule in force."""

    id: int
    spec: FaultSpec
    seconds: float
    to_digits: str | None
    expires_at: float | None
    hits: int = 0

    def is_live(self, now: float) -> bool:
        used_up = self.spec.times is not None and self.hits >= self.spec.times
        return not used_up and (self.expires_at is None or now < self.expires_at)

    def matches(self, phone_number_id: str, digits: str | None) -> bool:
        wanted = self.spec.phone_number_id
        if wanted is not None and wanted != phone_number_id:
            return False
        return self.to_digits is None or self.to_digits == digits


class Faults:
    """The rules, in the order in which they were added."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._rules: list[Fault] = []
        self._last_id = 0
        #: False when a send need not look at the rules at all.
        self.active = False
        #: How often each kind hit a send; outlives the rules.
        self.hits: dict[str, int] = {}

    def add(self, spec: FaultSpec) -> Fault:
        self._last_id += 1
        lasts = spec.seconds if spec.kind is FaultKind.THROTTLE else None
        fault = Fault(
            id=self._last_id,
            spec=spec,
            seconds=spec.seconds or _DEFAULT_SECONDS.get(spec.kind, 0.0),
            to_digits=(digits_of(spec.to) or spec.to) if spec.to else None,
            expires_at=None if lasts is None else self._clock.now() + lasts,
        )
        self._rules.append(fault)
        self.active = True
        return fault

    def clear(self) -> int:
        """Drop all rules and return how many there were."""
        count = len(self._rules)
        self._rules.clear()
        self.active = False
        return count

    def list(self) -> list[Fault]:
        return list(self._rules)

    def before_read(self, phone_number_id: str) -> Fault | None:
        """Return the rule that hits a send whose body is not known yet, counting the hit."""
        return self._hit(phone_number_id, None, before_read=True)

    def after_read(self, phone_number_id: str, digits: str) -> Fault | None:
        """Return the rule that hits this send, counting the hit."""
        return self._hit(phone_number_id, digits, before_read=False)

    def _hit(self, phone_number_id: str, digits: str | None, *, before_read: bool) -> Fault | None:
        now = self._clock.now()
        for fault in self._rules:
            spec = fault.spec
            if (spec.kind is FaultKind.RESET_BEFORE_READ) is not before_read:
                continue
            if not fault.is_live(now) or not fault.matches(phone_number_id, digits):
                continue
            if spec.share < 1 and self._rng.random() >= spec.share:
                continue
            fault.hits += 1
            self.hits[spec.kind.value] = self.hits.get(spec.kind.value, 0) + 1
            return fault
        return None
