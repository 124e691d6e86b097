"""What is wrong with telling people what is wrong."""

from collections.abc import Iterator

from sidecar.format import duration, many
from sidecar.ops.notifications import configured
from sidecar.ops.problem import Code, Problem
from sidecar.ops.report import Report
from sidecar.settings import Settings

#: A target that failed fewer times in a row is tried again in a moment.
FAILURES = 3
#: What was given up longer ago is history, ms.
RECENT_MS = 86_400_000

_DO = "sidecar notify test sends one to each target, and says what comes of it."


def notifications(report: Report, settings: Settings) -> Iterator[Problem]:
    """Return a problem for each target that takes nothing, and for each of which notifications were
    given up within a day."""
    now = report.overview.now
    names = configured(settings)
    for target in (one for one in report.targets if one.name in names):
        if target.failures >= FAILURES:
            yield Problem(
                Code.NOTIFICATIONS_FAILING,
                f"Notifications to the target {target.name} have failed for "
                f"{duration(max(0, now - target.since) / 1000)}, and {target.waiting:,} wait: "
                f"{target.reason}",
                f"Check the settings notify_* and the target. {_DO} They are sent again with "
                "pauses, for a day.",
                subject=target.name,
            )
        if target.dropped and now - target.dropped_at < RECENT_MS:
            yield Problem(
                Code.NOTIFICATIONS_FAILING,
                many(
                    target.dropped,
                    f"notification to the target {target.name} was",
                    f"notifications to the target {target.name} were",
                )
                + f" given up, the last {duration(max(0, now - target.dropped_at) / 1000)} ago",
                f"sidecar status shows what is wrong now. {_DO}",
                subject=f"{target.name}:dropped",
                size=target.dropped,
            )
