"""What became of one update."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Outcome:
    """As :class:`contracts.backend.UpdateResult` says."""

    result: Literal["done", "ignored", "retry", "rejected"]
    reason: str | None = None
    retry_after_ms: int | None = None
    campaign_uid: str | None = None
    effects: Sequence[dict[str, Any]] = ()

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"result": self.result, "reason": self.reason}
        if self.retry_after_ms is not None:
            answer["retry_after_ms"] = self.retry_after_ms
        if self.campaign_uid is not None:
            answer["campaign_uid"] = self.campaign_uid
        if self.effects:
            answer["effects"] = list(self.effects)
        return answer


DONE = Outcome("done")


#: What another row has already; the rest of the constraints no later attempt can satisfy.
_TAKEN = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")


def ignored(reason: str) -> Outcome:
    return Outcome("ignored", reason)


def failed(error: Exception) -> Outcome:
    """Return the outcome of an update that raised: it comes again, unless the tables can never take
    it. The reason names class and column, and holds no value."""
    reason = f"error: {type(error).__name__}"
    if isinstance(error, sqlite3.IntegrityError):
        taken = error.sqlite_errorname in _TAKEN
        return Outcome("retry" if taken else "rejected", f"{reason}: {error}"[:500])
    refused = isinstance(error, sqlite3.DataError | OverflowError | UnicodeEncodeError)
    return Outcome("rejected" if refused else "retry", reason)
