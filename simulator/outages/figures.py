"""What a run came to, and whether that is right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MAX_UNKNOWN = 20
NAMED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """``accepted`` messages are the Cloud API's count, ``twice`` among them; ``hit`` are calls that
    the outage hit. ``unknown``, ``failed`` and ``requeued`` are the sidecar's, of attempts. Rows
    that are ``left`` wait still; ``lost`` ones have gone without a message.

    Seconds: ``goes_on_s`` from the end of the outage to the next accepted message, ``named_s`` from
    its beginning until ``sidecar status`` named it, ``metric_s`` until the metric did, ``over_s``
    from its end until ``sidecar status`` did not name it any more."""

    shape: str
    rows: int
    accepted: int
    unknown: int
    failed: int
    requeued: int
    twice: int
    left: int
    lost: int
    hit: int
    goes_on_s: float | None
    named_s: float | None
    metric_s: float | None
    over_s: float | None
    seconds: float

    def faults(self) -> list[str]:
        """Return what is not as it should be, in words."""
        found = []
        if self.unknown > MAX_UNKNOWN:
            found.append(f"{self.unknown} rows unknown, more than {MAX_UNKNOWN}")
        for name in ("failed", "twice", "left", "lost"):
            if count := getattr(self, name):
                found.append(f"{count} {name}")
        if self.named_s is None:
            found.append("never named by sidecar status")
        elif self.named_s > NAMED_WITHIN_S:
            found.append(f"named after {self.named_s:.1f} s")
        if self.over_s is None:
            found.append("sidecar status never said that it was over")
        if not self.hit:
            found.append("the outage hit nothing")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "faults": self.faults()}


_COLUMNS = (
    *("shape", "rows", "accepted", "unknown", "failed", "requeued", "twice", "left", "lost"),
    *("goes_on_s", "named_s", "metric_s", "over_s", "seconds"),
)


def table(figures: Sequence[Figures]) -> str:
    """Return a line for each run, in columns."""
    rows = [[name.removesuffix("_s").replace("_", " ") for name in _COLUMNS]]
    rows += [[_text(getattr(one, name)) for name in _COLUMNS] for one in figures]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
