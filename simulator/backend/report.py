"""What the backend has done since it was started."""

from collections import Counter, defaultdict
from typing import Any

Table = defaultdict[str, Counter[str]]


def _table() -> Table:
    return defaultdict(Counter)


class Report:
    """Counters. Each is written by one thread only: ``requests``, ``refusals`` and ``faults`` by
    the event loop, the others by the writer."""

    def __init__(self) -> None:
        #: Answers by endpoint and HTTP status.
        self.requests = _table()
        #: Refused calls by endpoint and reason code.
        self.refusals = _table()
        #: Faults injected, by endpoint and kind.
        self.faults = _table()
        #: Updates (split out of raw webhooks too) by kind and result.
        self.updates = _table()
        #: Reasons of the updates that were not applied.
        self.reasons: Counter[str] = Counter()
        #: Results of sends by outcome and result.
        self.send_results = _table()
        #: Raw webhooks by result and reason.
        self.raw_webhooks: Counter[str] = Counter()
        #: Calls that carried at least one customer's message.
        self.calls_with_messages = 0

    def as_json(self, sql_statements: int) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "refusals": self.refusals,
            "faults": self.faults,
            "updates": self.updates,
            "reasons": self.reasons,
            "send_results": self.send_results,
            "raw_webhooks": self.raw_webhooks,
            "calls_with_messages": self.calls_with_messages,
            "sql_statements": sql_statements,
        }
