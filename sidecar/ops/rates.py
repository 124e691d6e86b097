"""What happens per second, out of what all processes have counted (sidecar/metrics.py)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from contracts.jobs import Lane
from sidecar.metrics import (
    BACKEND_REQUESTS,
    HANDOVER_SECONDS,
    INF,
    SEND_CALLS,
    SUM,
    WEBHOOKS,
    Series,
)

#: Results of a webhook that was taken, by the sidecar or by PHP.
TAKEN = ("acknowledged", "proxied", "kept")
#: Results of a request that PHP has answered as it should; a refusal is an answer.
ANSWERED = ("ok", "refused")

#: Parts of a histogram of handover times, the last without a bound.
_PARTS = (*map(repr, HANDOVER_SECONDS.bounds), INF)


class Rate(StrEnum):
    """What is counted: webhooks that were taken and that were refused, messages that the Cloud API
    has accepted, requests that PHP has failed, and calls to the Cloud API that it has not accepted
    (or of which nobody knows); each a second."""

    WEBHOOKS = "webhooks"
    SENT = "sent"
    WEBHOOKS_REFUSED = "webhooks_refused"
    PHP_FAILURES = "php_failures"
    SEND_FAILURES = "send_failures"


#: All that is counted, and how many of a lane's updates PHP has had within which time
#: (``handover:{lane}:{part}``).
Counts = dict[str, float]


def count(metrics: Mapping[Series, float]) -> Counts:
    """Add up what all processes have counted so far."""
    counts: Counts = {rate.value: 0.0 for rate in Rate}
    for series, value in metrics.items():
        if (name := _name(series)) is not None:
            counts[name] = counts.get(name, 0.0) + value
    return counts


def _name(series: Series) -> str | None:
    labels = series.labels
    if series.name == HANDOVER_SECONDS.name:
        return None if series.part == SUM else f"handover:{labels[0]}:{series.part}"
    if series.name == WEBHOOKS.name:
        return (Rate.WEBHOOKS if labels[0] in TAKEN else Rate.WEBHOOKS_REFUSED).value
    if series.name == SEND_CALLS.name:
        return (Rate.SENT if labels[0] == "accepted" else Rate.SEND_FAILURES).value
    if series.name == BACKEND_REQUESTS.name and labels[1] not in ANSWERED:
        return Rate.PHP_FAILURES.value
    return None


def grown(before: Mapping[str, float], after: Mapping[str, float]) -> Counts:
    """Return what was counted in between. A counter that has fallen began anew (Redis was wiped):
    what it has now was counted since."""
    return {
        name: value - (old if (old := before.get(name, 0.0)) <= value else 0.0)
        for name, value in after.items()
    }


def rates(grown: Mapping[str, float], seconds: float) -> dict[Rate, float]:
    """Return what happened per second."""
    return {rate: grown.get(rate, 0.0) / seconds for rate in Rate}


def handover_s(grown: Mapping[str, float], lane: Lane, share: float) -> float | None:
    """Return within how many seconds of its acknowledgement PHP had this share of a lane's updates;
    None if it had none."""
    buckets = [grown.get(f"handover:{lane}:{part}", 0.0) for part in _PARTS]
    return quantile(HANDOVER_SECONDS.bounds, buckets, share)


def quantile(bounds: Sequence[float], buckets: Sequence[float], share: float) -> float | None:
    """Return the value below which this share of a histogram lies, as Prometheus estimates it: in a
    bucket values lie evenly, and beyond the last bound all are at that bound. None: it is empty."""
    wanted, seen, lower = share * sum(buckets), 0.0, 0.0
    if not wanted:
        return None
    for upper, number in zip(bounds, buckets, strict=False):
        if number and seen + number >= wanted:
            return lower + (upper - lower) * (wanted - seen) / number
        seen, lower = seen + number, upper
    return bounds[-1]
