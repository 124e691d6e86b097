"""That nobody can be told is said where it can be read."""

from dataclasses import replace

import pytest

from sidecar.ops.notification_problems import FAILURES, RECENT_MS, notifications
from sidecar.ops.notifications import TargetState
from sidecar.ops.problem import Code
from sidecar.ops.report import Report, read_report
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from tests.conftest import MakeSettings


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(backend_url="http://127.0.0.1:9", notify_slack_url="http://127.0.0.1:9/x")


@pytest.fixture
async def report(redis: Redis, settings: Settings) -> Report:
    backend = make_backend(settings)
    try:
        return await read_report(redis, backend)
    finally:
        await backend.close()


async def test_a_target_that_fails(report: Report, settings: Settings) -> None:
    since = report.overview.now - 60_000
    state = TargetState("slack", 3, "it answers 500", failures=FAILURES, since=since)
    [one] = notifications(replace(report, targets=[state]), settings)
    assert (one.code, one.subject) == (Code.NOTIFICATIONS_FAILING, "slack")
    assert "slack have failed for 60 s, and 3 wait: it answers 500" in one.what
    assert "sidecar notify test" in one.do


async def test_what_was_given_up_is_said_for_a_day(report: Report, settings: Settings) -> None:
    at = report.overview.now - RECENT_MS
    recent = replace(report, targets=[TargetState("slack", dropped=2, dropped_at=at + 60_000)])
    [one] = notifications(recent, settings)
    assert (one.subject, one.size) == ("slack:dropped", 2)
    assert "2 notifications to the target slack were given up" in one.what
    old = replace(report, targets=[TargetState("slack", dropped=2, dropped_at=at)])
    assert list(notifications(old, settings)) == []


@pytest.mark.parametrize(
    "state",
    [
        TargetState("slack", 1, "it answers 500", failures=FAILURES - 1, since=1),
        TargetState("webhook", 1, "it is not in the settings", failures=9, since=1),
    ],
)
async def test_what_is_no_problem(report: Report, settings: Settings, state: TargetState) -> None:
    assert list(notifications(replace(report, targets=[state]), settings)) == []
