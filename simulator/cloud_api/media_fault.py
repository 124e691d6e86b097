"""What is to go wrong when media are fetched."""

from enum import StrEnum
from random import Random

from pydantic import Field, model_validator

from contracts.lenient import StrictModel


class MediaFaultKind(StrEnum):
    #: Answered with ``status`` and an error.
    STATUS = "status"
    #: Answered after ``seconds``; the bytes are spread over them.
    SLOW = "slow"
    #: The connection is closed in the middle of the bytes.
    CUT = "cut"
    #: As many bytes as there are, but others.
    WRONG_BYTES = "wrong_bytes"
    #: The address that is given is not valid any more.
    EXPIRED = "expired"


class MediaCall(StrEnum):
    #: The call that answers with the address.
    ADDRESS = "address"
    #: The call of that address.
    BYTES = "bytes"


_ONLY_AT = {
    MediaFaultKind.CUT: MediaCall.BYTES,
    MediaFaultKind.WRONG_BYTES: MediaCall.BYTES,
    MediaFaultKind.EXPIRED: MediaCall.ADDRESS,
}


class MediaFaultSpec(StrictModel):
    """A rule. Of several that apply to a call, the oldest one does."""

    kind: MediaFaultKind
    #: Which call is hit; null: the one that the kind belongs to, else that of the bytes.
    at: MediaCall | None = None
    status: int = Field(default=500, ge=400, le=599)
    seconds: float = Field(default=1.0, gt=0)
    #: How many calls to hit; null: all, until the rules are cleared.
    times: int | None = Field(default=None, ge=1)
    #: Probability that a call is hit.
    share: float = Field(default=1.0, ge=0, le=1)
    #: Only this medium.
    media_id: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "MediaFaultSpec":
        only = _ONLY_AT.get(self.kind)
        if only is not None and self.at not in (None, only):
            raise ValueError(f"kind `{self.kind}` is for the call of the {only.value}")
        return self

    @property
    def call(self) -> MediaCall:
        return self.at or _ONLY_AT.get(self.kind, MediaCall.BYTES)


class MediaFaults:
    """The rules, in the order in which they were added."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._rules: list[tuple[MediaFaultSpec, list[None]]] = []

    def add(self, spec: MediaFaultSpec) -> None:
        self._rules.append((spec, []))

    def clear(self) -> int:
        cleared = len(self._rules)
        self._rules.clear()
        return cleared

    def list(self) -> "list[tuple[MediaFaultSpec, int]]":
        """Return each rule, and how many calls it has hit."""
        return [(spec, len(hits)) for spec, hits in self._rules]

    def hit(self, call: MediaCall, media_id: str) -> MediaFaultSpec | None:
        """Return the rule that hits this call, counting the hit."""
        for spec, hits in self._rules:
            if spec.call is not call or spec.media_id not in (None, media_id):
                continue
            if spec.times is not None and len(hits) >= spec.times:
                continue
            if spec.share < 1 and self._rng.random() >= spec.share:
                continue
            hits.append(None)
            return spec
        return None
