"""Faults on demand: what is to go wrong, for which requests, and how often."""

from enum import StrEnum

from pydantic import Field, model_validator

from contracts.lenient import StrictModel


class FaultKind(StrEnum):
    #: Answered with ``status``, and with ``retry_after`` as Retry-After.
    STATUS = "status"
    #: No answer for ``seconds`` (an hour, if not given), then the connection is closed.
    HANG = "hang"
    #: The connection is reset instead of an answer.
    RESET = "reset"
    #: Handled as usual after ``seconds``.
    SLOW = "slow"
    #: 200 with half of a JSON text.
    BROKEN = "broken"
    #: 200 with an answer that has nothing in it (an AI's without a choice).
    EMPTY = "empty"
    #: ``status`` (307, if not given) to ``location``.
    REDIRECT = "redirect"


class Fault(StrictModel):
    """One fault. Of several that apply to a request, the oldest strikes."""

    kind: FaultKind
    status: int | None = Field(default=None, ge=100, le=599)
    retry_after: str | None = None
    location: str | None = None
    seconds: float | None = Field(default=None, ge=0)
    #: How many requests it strikes before it is gone; null for ever.
    times: int | None = Field(default=None, ge=1)
    #: The share of requests that it strikes, evenly spread.
    share: float = Field(default=1.0, gt=0, le=1)
    #: Only requests whose body contains this text.
    body_contains: str | None = None
    #: The request takes effect all the same: only its answer is lost.
    handled: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "Fault":
        if self.kind is FaultKind.STATUS and self.status is None:
            raise ValueError("a fault of kind `status` needs a `status`")
        if self.kind is FaultKind.REDIRECT and self.location is None:
            raise ValueError("a fault of kind `redirect` needs a `location`")
        return self


class _Active:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.hits = 0
        self._due = 0.0

    @property
    def over(self) -> bool:
        return self.fault.times is not None and self.hits >= self.fault.times

    def strikes(self) -> bool:
        self._due += self.fault.share
        if self._due < 1.0 - 1e-9:
            return False
        self._due -= 1.0
        self.hits += 1
        return True


class Faults:
    """The faults that are set, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, kind: FaultKind | str, **fields: object) -> None:
        """Set a fault; ``fields`` are those of :class:`Fault`."""
        self.set(Fault.model_validate({"kind": kind, **fields}))

    def set(self, fault: Fault) -> None:
        self._active.append(_Active(fault))

    def clear(self) -> None:
        self._active.clear()

    def as_json(self) -> list[dict[str, object]]:
        return [
            {**active.fault.model_dump(mode="json"), "hits": active.hits} for active in self._active
        ]

    def strike(self, body: bytes) -> Fault | None:
        """Return the fault that strikes this request."""
        for active in self._active:
            wanted = active.fault.body_contains
            if active.over or (wanted is not None and wanted.encode() not in body):
                continue
            if active.strikes():
                return active.fault
        return None
