"""The metrics of this process, which it publishes to Redis (sidecar/ops/publisher.py).

Every process counts in memory, which costs next to nothing; once a second the increase is added to
the totals of all processes, which ``GET /metrics`` shows. So these may lag by a second, and a
killed process loses a second's worth. What must be exact is counted in Redis, together with what it
counts (sidecar/ops/accounting.py).
"""

from bisect import bisect_left
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, eq=False)
class Family:
    """One metric, without the suffix that counters get. With ``bounds``, a histogram. Each is there
    once; they are not compared by their texts, for that takes longer than to count."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

WEBHOOKS = Family(
    "sidecar_webhooks",
    "Webhooks by their answer: acknowledged, proxied (PHP's own answer), kept (acknowledged in "
    "place of a PHP that failed), or why not.",
    ("result",),
)
WEBHOOKS_UNSIGNED = Family(
    "sidecar_webhooks_wrongly_signed_accepted",
    "Webhooks that were acknowledged or passed on although their signature was wrong "
    "(webhook_signature or proxy_signature is report).",
)
ACK_SECONDS = Family(
    "sidecar_webhook_ack_seconds",
    "From the first byte of a webhook to its 200: it is on disk by then.",
    bounds=_FAST,
)
PROXY_SECONDS = Family(
    "sidecar_proxy_seconds",
    "From when a webhook for PHP was here to PHP's answer: answered, failed (5xx), timed_out, "
    "unreachable, broken_off, or busy (not asked: too much is in flight).",
    ("result",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
HANDOVER_SECONDS = Family(
    "sidecar_handover_seconds",
    "From a webhook's acknowledgement to PHP's answer that an update of it is done or ignored.",
    ("lane",),
    _SLOW,
)
UPDATES_IGNORED = Family(
    "sidecar_updates_ignored",
    "Updates with which nothing was to be done, by reason; other is what only this PHP side says.",
    ("reason",),
)
STATUSES = Family(
    "sidecar_statuses",
    "Statuses of messages that PHP has, by what they say (sent, delivered, read, failed ...; other "
    "is what is not known), those included that were coalesced into a higher one. Meta repeats "
    "some, and they count again.",
    ("status",),
)
BACKEND_REQUESTS = Family(
    "sidecar_backend_requests",
    "Requests to PHP's internal endpoints, by how they ended.",
    ("endpoint", "result"),
)
BACKEND_ITEMS = Family(
    "sidecar_backend_items",
    "Updates, results and rows that PHP's answers were about.",
    ("endpoint",),
)
BACKEND_SECONDS = Family(
    "sidecar_backend_request_seconds",
    "Time of requests to PHP's internal endpoints, whatever their end.",
    ("endpoint",),
    _SLOW,
)
SEND_CALLS = Family(
    "sidecar_send_calls",
    "Calls to the Cloud API: accepted, not_sent, unknown, or the class and code of the error.",
    ("result", "code"),
)
SEND_SECONDS = Family(
    "sidecar_send_seconds", "Time of calls to the Cloud API, whatever their end.", bounds=_SLOW
)
CLOUD_API_OUTAGES = Family(
    "sidecar_cloud_api_outages",
    "Outages of the Cloud API that were noticed, each for one number.",
)
CLOUD_API_PROBES = Family(
    "sidecar_cloud_api_probes",
    "Probes during outages of the Cloud API: answered or no_answer (it was asked, for no row), "
    "worked or failed (a row was sent).",
    ("result",),
)
EFFECT_CALLS = Family(
    "sidecar_effect_calls",
    "Calls that effects have led to, by the effect's kind and how they ended; and those that were "
    "left out, because there is nowhere to call.",
    ("kind", "result"),
)
EFFECTS_REFUSED = Family(
    "sidecar_effects_refused",
    "Effects that PHP has named in its answers and that are left out, because they are none or "
    "cannot be passed on; the log says why.",
    ("kind",),
)
EFFECT_SECONDS = Family(
    "sidecar_effect_call_seconds",
    "Time of calls that effects have led to, whatever their end.",
    ("kind",),
    _SLOW,
)
SHADOW_WEBHOOKS = Family(
    "sidecar_shadow_webhooks",
    "Webhooks that PHP handles: recorded for comparison, dropped for lack of room, or ignored "
    "because the vendor is not in shadow or the signature is wrong.",
    ("result",),
)
SHADOW_EFFECTS = Family(
    "sidecar_shadow_effects",
    "What the sidecar would have done beside PHP, by how it compares with what PHP has done.",
    ("kind", "class"),
)
STATUSES_MISFIT = Family(
    "sidecar_statuses_misfit",
    "Failed statuses that would hold or pause a number or an account which the vendor does not "
    "send from, as far as PHP says: nothing was held.",
)
ROWS_REFUSED = Family(
    "sidecar_rows_refused",
    "Rows that PHP has given out and that are not sent again: named "
    "twice_in_answer, in_hand under an earlier claim, in_another_ledger, or accepted just now.",
    ("reason",),
)
SLOTS = Family("sidecar_limiter_slots", "Sending slots that the limiter has given out.")
LIMITER_WAITS = Family(
    "sidecar_limiter_waits", "How often the limiter had no slot and made the caller wait."
)
LIMITER_WAIT_SECONDS = Family(
    "sidecar_limiter_wait_seconds", "How long the limiter has made callers wait."
)
SPANS_EXPORTED = Family(
    "sidecar_spans",
    "Spans (otlp_url): exported, failed (the collector did not take them), or dropped (too many "
    "waited).",
    ("result",),
)

FAMILIES = {
    family.name: family
    for family in (
        WEBHOOKS,
        WEBHOOKS_UNSIGNED,
        ACK_SECONDS,
        PROXY_SECONDS,
        HANDOVER_SECONDS,
        UPDATES_IGNORED,
        STATUSES,
        BACKEND_REQUESTS,
        BACKEND_ITEMS,
        BACKEND_SECONDS,
        SEND_CALLS,
        SEND_SECONDS,
        CLOUD_API_OUTAGES,
        CLOUD_API_PROBES,
        EFFECT_CALLS,
        EFFECTS_REFUSED,
        EFFECT_SECONDS,
        SHADOW_WEBHOOKS,
        SHADOW_EFFECTS,
        STATUSES_MISFIT,
        ROWS_REFUSED,
        SLOTS,
        LIMITER_WAITS,
        LIMITER_WAIT_SECONDS,
        SPANS_EXPORTED,
    )
}

#: The part that holds a histogram's sum. ``INF`` is its last bucket.
SUM = "sum"
INF = "+Inf"


@dataclass(frozen=True, slots=True)
class Series:
    """The name of one number. ``part`` is empty for a counter; for a histogram it is a bucket's
    upper bound (buckets are not cumulative), or :data:`SUM`."""

    name: str
    labels: tuple[str, ...]
    part: str = ""

    def dump(self) -> bytes:
        return orjson.dumps([self.name, self.part, *self.labels])

    @classmethod
    def load(cls, data: bytes) -> "Series":
        name, part, *labels = orjson.loads(data)
        return cls(name, tuple(labels), part)


class Counter:
    """A number that only goes up."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, by: float = 1) -> None:
        self.value += by


class Histogram:
    """Counts values by their size."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times


class MetricsRegistry:
    """The counters and histograms of one process. Belongs to one thread."""

    def __init__(self) -> None:
        self._counters: dict[tuple[Family, tuple[str, ...]], Counter] = {}
        self._histograms: dict[tuple[Family, tuple[str, ...]], Histogram] = {}

    def counter(self, family: Family, *labels: str) -> Counter:
        """Return the counter with these values of the family's labels."""
        found = self._counters.get((family, labels))
        if found is None:
            found = self._counters[family, labels] = Counter()
        return found

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """Return the histogram with these values of the family's labels."""
        found = self._histograms.get((family, labels))
        if found is None:
            found = self._histograms[family, labels] = Histogram(family.bounds)
        return found

    def read(self) -> dict[Series, float]:
        """Return all counts so far, without zeros."""
        found = {Series(f.name, labels): c.value for (f, labels), c in self._counters.items()}
        for (family, labels), histogram in self._histograms.items():
            parts = [*map(repr, family.bounds), INF]
            for part, count in zip(parts, histogram.counts, strict=True):
                found[Series(family.name, labels, part)] = count
            found[Series(family.name, labels, SUM)] = histogram.sum
        return {series: value for series, value in found.items() if value}


#: This process's registry.
METRICS = MetricsRegistry()
