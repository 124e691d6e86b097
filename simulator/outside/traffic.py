"""Counts of requests."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Traffic:
    """``open`` requests have no answer yet; ``most_open`` were so at the same time. ``answers``
    counts by HTTP status, and those that got none as ``none``. ``faults`` counts by kind."""

    requests: int = 0
    open: int = 0
    most_open: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def request(self) -> Iterator[None]:
        self.requests += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield
        finally:
            self.open -= 1

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "open": self.open,
            "most_open": self.most_open,
            "answers": dict(self.answers),
            "faults": dict(self.faults),
        }
