"""Faults on demand, set over ``/_simulator/faults``."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from simulator.backend.envelope import Part
from simulator.backend.jsontext import dump


class FaultKind(StrEnum):
    #: 500 with the error page that a framework sends as JSON.
    HTTP_500 = "http_500"
    #: 500 with a page of HTML.
    HTML_500 = "html_500"
    #: 200 with a body that is not JSON.
    NONSENSE = "nonsense"
    #: 200 without a body.
    EMPTY = "empty"
    #: The connection is closed without an answer; nothing was done.
    CLOSE = "close"
    #: No answer for ``seconds`` (an hour, if not given), then the connection is closed.
    HANG = "hang"
    #: The call is worked on after ``seconds`` (one, if not given).
    SLOW = "slow"
    #: The call is worked on, and the connection is closed without an answer.
    AFTER_COMMIT_CLOSE = "after_commit_close"
    #: One update of ``process-webhooks`` or ``process-webhook`` fails, the others do not.
    UPDATE_ERROR = "update_error"


class Fault(BaseModel):
    """One fault. All conditions that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    kind: FaultKind
    #: Last part of the internal path, such as ``process-webhooks``; null for all of them.
    endpoint: str | None = None
    #: For ``hang`` and ``slow``.
    seconds: float | None = Field(default=None, ge=0)
    #: How often it strikes before it is gone; null for ever.
    times: int | None = Field(default=None, ge=1)
    #: The share of the calls that it strikes, evenly spread.
    share: float = Field(default=1.0, gt=0, le=1)
    #: Only calls (or updates, for ``update_error``) whose body contains this text.
    body_contains: str | None = None


class UpdatePoisoned(Exception):
    """An ``update_error`` fault struck."""


class _Active:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self._due = 0.0

    def strikes(self) -> bool:
        self._due += self.fault.share
        if self._due < 1.0 - 1e-9:
            return False
        self._due -= 1.0
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The faults that are set. Faults of calls are asked for by the event loop, those of items by
    the writer; they are kept apart."""

    def __init__(self) -> None:
        self._calls: list[_Active] = []
        self._update_faults: list[_Active] = []

    def add(self, fault: Fault) -> None:
        for_updates = fault.kind is FaultKind.UPDATE_ERROR
        (self._update_faults if for_updates else self._calls).append(_Active(fault))

    def clear(self) -> None:
        self._calls, self._update_faults = [], []

    def as_json(self) -> list[dict[str, object]]:
        return [
            {**active.fault.model_dump(mode="json"), "left": active.left}
            for active in (*self._calls, *self._update_faults)
            if active.left != 0
        ]

    def for_call(self, endpoint: str, body: bytes) -> Fault | None:
        """Return the first fault that strikes this call."""
        for active in self._calls:
            fault = active.fault
            if active.left == 0 or fault.endpoint not in (None, endpoint):
                continue
            if fault.body_contains is not None and fault.body_contains.encode() not in body:
                continue
            if active.strikes():
                return fault
        return None

    def check_update(self, part: Part) -> None:
        """Raise :class:`ItemPoisoned` if a fault strikes this update."""
        if not self._update_faults:
            return
        body = dump([part.element, part.value.get("metadata"), part.contact])
        for active in self._update_faults:
            wanted = active.fault.body_contains
            if active.left == 0 or (wanted is not None and wanted not in body):
                continue
            if active.strikes():
                raise UpdatePoisoned(f"injected fault {wanted or ''}".strip())
