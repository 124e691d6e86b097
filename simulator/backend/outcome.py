"""What became of one update."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Outcome:
    """As :class:`contracts.backend.UpdateResult` says."""

    result: Literal["done", "ignored", "retry"]
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


def ignored(reason: str) -> Outcome:
    return Outcome("ignored", reason)
