"""Outages of the Cloud API: whatever is called fails in one way, for a time.

Unlike a fault (:mod:`simulator.cloud_api.fault`), an outage does not look at what is sent, begins
and ends by the clock, and hits reads as well.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from pydantic import Field, model_validator

from contracts.lenient import StrictModel
from simulator.cloud_api.clock import Clock

#: Of outages that are over, so many are remembered.
_REMEMBERED = 100


class OutageShape(StrEnum):
    #: 502 with a gateway's HTML page.
    HTML_502 = "html_502"
    #: 502 with an empty body.
    EMPTY_502 = "empty_502"
    #: 200 with an HTML page.
    HTML_200 = "html_200"
    #: 200 with an empty body.
    EMPTY_200 = "empty_200"
    #: 500 with error 131000; a read gets error 2, as reads do.
    ERROR_131000 = "error_131000"
    #: 503 with an empty body.
    HTTP_503 = "http_503"
    #: The connection is reset before the body is read.
    RESET = "reset"
    #: The connection is reset after the body was read.
    RESET_AFTER_READ = "reset_after_read"
    #: Read, and never answered: the connection stays open until the client gives up.
    BLACK_HOLE = "black_hole"
    #: Accepted at once and answered as ever, but after ``answer_after_s``.
    SLOW = "slow"
    #: ``while_down`` for ``down_s``, then nothing for ``up_s``, and so on.
    FLAPPING = "flapping"


class Call(StrEnum):
    """What is called."""

    MESSAGES = "messages"
    MARKETING_MESSAGES = "marketing_messages"
    #: ``GET /{version}/{phone_number_id}``.
    NUMBER = "number"
    #: ``GET /{version}/{media_id}``: the address of a medium.
    MEDIA = "media"
    #: A call of that address.
    MEDIA_BYTES = "media_bytes"


class OutageSpec(StrictModel):
    """An outage as it is asked for. Of several that are in force, the oldest one that hits a call
    does."""

    shape: OutageShape
    #: How long it lasts; null: until it is deleted.
    seconds: float | None = Field(default=None, gt=0)
    #: It begins so much later.
    after_s: float = Field(default=0, ge=0)
    #: Only calls for this number; null: for all.
    phone_number_id: str | None = None
    #: Probability that a call is hit.
    share: float = Field(default=1.0, ge=0, le=1)
    #: Only these calls; null: all. ``["messages"]`` leaves reads alone.
    of: frozenset[Call] | None = Field(default=None, min_length=1)
    #: Whether a message is accepted before its answer goes wrong.
    accepted: bool = False
    answer_after_s: float = Field(default=5.0, gt=0)
    down_s: float = Field(default=2.0, gt=0)
    up_s: float = Field(default=2.0, gt=0)
    while_down: OutageShape = OutageShape.HTML_502

    @model_validator(mode="after")
    def _consistent(self) -> "OutageSpec":
        if self.while_down is OutageShape.FLAPPING:
            raise ValueError("`while_down` is any shape but `flapping`")
        if self.accepted and self.shape_when_down is OutageShape.RESET:
            raise ValueError("`reset` comes before anything is read, so nothing can be accepted")
        return self

    @property
    def shape_when_down(self) -> OutageShape:
        return self.while_down if self.shape is OutageShape.FLAPPING else self.shape


@dataclass(slots=True)
class Outage:
    """``begins_at`` and ``ends_at`` are unix seconds; ``ends_at`` None: not known yet."""

    id: int
    spec: OutageSpec
    begins_at: float
    ends_at: float | None
    #: How many calls of each kind it has hit.
    hits: dict[Call, int] = field(default_factory=dict)

    def is_over(self, now: float) -> bool:
        return self.ends_at is not None and now >= self.ends_at

    def hits_at(self, now: float) -> bool:
        """Tell whether it is in force, and, if it flaps, down."""
        if now < self.begins_at or self.is_over(now):
            return False
        spec = self.spec
        if spec.shape is not OutageShape.FLAPPING:
            return True
        return (now - self.begins_at) % (spec.down_s + spec.up_s) < spec.down_s

    def concerns(self, call: Call, phone_number_id: str | None) -> bool:
        spec = self.spec
        if spec.of is not None and call not in spec.of:
            return False
        return spec.phone_number_id in (None, phone_number_id)


class Outages:
    """Those that are to come, in force, or over, in the order in which they were asked for."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._all: list[Outage] = []
        self._last_id = 0
        #: False when a call need not be looked at.
        self.active = False
        #: By shape, how many calls of each kind were hit.
        self.hits: dict[str, dict[str, int]] = {}

    def list(self) -> "list[Outage]":
        return list(self._all)

    def begin(self, spec: OutageSpec) -> Outage:
        """Let an outage begin at its time."""
        self._last_id += 1
        begins_at = self._clock.now() + spec.after_s
        ends_at = None if spec.seconds is None else begins_at + spec.seconds
        outage = Outage(self._last_id, spec, begins_at, ends_at)
        self._all.append(outage)
        self.active = True
        return outage

    def end(self, outage_id: int | None = None) -> int:
        """End one outage, or all, and return how many were not over."""
        now = self._clock.now()
        ended = 0
        for outage in self._all:
            if outage_id in (None, outage.id) and not outage.is_over(now):
                outage.ends_at = now
                ended += 1
        self._forget(now)
        return ended

    def hit(self, call: Call, phone_number_id: str | None) -> Outage | None:
        """Return the outage that hits this call, counting the hit."""
        now = self._clock.now()
        over = False
        for outage in self._all:
            over = over or outage.is_over(now)
            if not outage.hits_at(now) or not outage.concerns(call, phone_number_id):
                continue
            if outage.spec.share < 1 and self._rng.random() >= outage.spec.share:
                continue
            self._count(outage, call)
            return outage
        if over:
            self._forget(now)
        return None

    def _count(self, outage: Outage, call: Call) -> None:
        outage.hits[call] = outage.hits.get(call, 0) + 1
        by_call = self.hits.setdefault(outage.spec.shape.value, {})
        by_call[call.value] = by_call.get(call.value, 0) + 1

    def _forget(self, now: float) -> None:
        over = [one for one in self._all if one.is_over(now)]
        for outage in over[:-_REMEMBERED]:
            self._all.remove(outage)
        self.active = len(over) < len(self._all)
