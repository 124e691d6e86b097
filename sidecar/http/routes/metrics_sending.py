"""How sending goes, for ``GET /metrics``: the Cloud API, numbers that are held, rows that fail."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from sidecar.http.families import gauge
from sidecar.ops.send_problems import MOMENT_S
from sidecar.ops.sends import recent_sends
from sidecar.ops.snapshot import Overview
from sidecar.sending.numbers import NumberState


def sending(overview: Overview, numbers: list[NumberState]) -> Iterator[Metric]:
    """Yield what :mod:`sidecar.ops.send_problems` finds, as numbers."""
    now = overview.now / 1000
    yield gauge(
        "sidecar_cloud_api_down",
        "Numbers for which the Cloud API does not work: it is probed, and all else waits.",
        [((), sum(number.outage is not None for number in numbers))],
    )
    slow = [seconds for process in overview.alive for seconds in process.slow.values()]
    yield gauge(
        "sidecar_cloud_api_slow_seconds",
        "How long the Cloud API takes to answer for the number for which it is slowest; 0 where it "
        "is quick for all.",
        [((), max(slow, default=0.0))],
    )
    yield gauge(
        "sidecar_numbers_held",
        "Numbers from which nothing goes out for more than a moment, for what the Cloud API said "
        "of them, of their account or of the app.",
        [((), sum(_held(number, now) for number in numbers))],
    )
    sends = recent_sends(overview.processes)
    yield gauge(
        "sidecar_campaigns_in_trouble",
        "Campaigns, and vendors with replies, of which rows have failed or turned unknown in "
        "numbers that matter within ten minutes.",
        [
            (("failed",), sum(one.failing for one in sends)),
            (("unknown",), sum(one.unclear for one in sends)),
        ],
        ("outcome",),
    )


def _held(number: NumberState, now: float) -> bool:
    holds = (number.held, number.account_held, number.app_held)
    return any(held is not None and held.until - now > MOMENT_S for held in holds)
