"""How fast a campaign was before and after a host's trouble, and what nginx did with webhooks."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

#: So long after the start, and after a takeover, rows are only just being claimed.
_BEGINNING_S = 1.0
#: Fewer messages say nothing of a rate.
_FEWEST = 80
_WEBHOOK = re.compile(r"/(?:whatsapp-)?webhook/")


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages per second of the number before and after the longest gap that a trouble has left in
    its campaign, and how long that is; None where there are too few messages."""

    before: float | None
    gap_s: float
    after: float | None

    @property
    def measured(self) -> list[float]:
        return [rate for rate in (self.before, self.after) if rate is not None]


def rates(campaign: Sequence[float], others: Sequence[float], trouble_at: float) -> Rates:
    """Return them, given when messages of the campaign were accepted, when others of its number,
    which share its rate, and since when there was trouble; all in unix seconds."""
    rows = sorted(campaign)
    pairs = [(b - a, a, b) for a, b in pairwise(rows) if b >= trouble_at]
    gap_s, until, since = max(pairs, default=(0.0, trouble_at, trouble_at))
    times = sorted([*rows, *others])
    return Rates(
        _rate(times, min(rows, default=0.0), until),
        gap_s,
        _rate(times, since, max(rows, default=0.0)),
    )


def _rate(times: list[float], begin: float, end: float) -> float | None:
    steady = [at for at in times if begin + _BEGINNING_S <= at <= end]
    if len(steady) < _FEWEST:
        return None
    return (len(steady) - 1) / (steady[-1] - steady[0])


def doors(log: Path, begin: int = 0) -> dict[str, Any]:
    """Return what nginx's access log says of webhooks from a byte on: how many a host took, how
    many only a second one, and how many PHP; their answers; how long the slowest took."""
    ways: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    slowest_s = 0.0
    for text in log.read_bytes()[begin:].splitlines():
        line = orjson.loads(text)
        if not _WEBHOOK.match(line["path"]):
            continue
        asked = re.split(r", | : ", line["upstream"])
        if asked[-1].startswith("unix:"):
            ways["to_php"] += 1
        else:
            ways["to_another_host" if len(asked) > 1 else "to_a_host"] += 1
        answers[str(line["status"])] += 1
        slowest_s = max(slowest_s, float(line["seconds"]))
    return {**ways, "answers": dict(answers), "slowest_s": round(slowest_s, 2)}
