"""Whether a refusal is due to a setting that has changed."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.backend import PhoneNumber, SendError, VendorConfig, Verified
from contracts.cloud_api.errors import RULES, ErrorClass, rule_for
from sidecar.php.client import BackendUnavailable
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.workers.rows import CAMPAIGN, NUMBER, queued
from workers.sending import recheck as module
from workers.sending.error_policy import decide_error
from workers.sending.recheck import Recheck, may_be_outdated
from workers.sending.send_config import SendConfig

VENDOR = VendorConfig(
    vendor_uid="vendor-1", access_token="old", current_phone_number_id=NUMBER, portfolio_id="p-1"
)


@dataclass
class Php:
    """What PHP says of the vendor, when it is asked."""

    vendor: VendorConfig | None = VENDOR
    error: Exception | None = None
    asked: list[float] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def get_since(self, key: str, since: float) -> VendorConfig | None:
        self.asked.append(since)
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return self.vendor


class Case:
    """A recheck, and what it has asked for."""

    def __init__(self, settings: Settings) -> None:
        self.php = Php()
        self.php.answers.set()
        self.config = SendConfig(settings, VENDOR, CAMPAIGN)
        self.woken = 0
        self.gone = False
        self.recheck = Recheck(self.php, self.config, self._follow, self._wake)

    def _follow(self, vendor: VendorConfig | None) -> None:
        if vendor is None:
            self.gone = True
        else:
            self.config.vendor = vendor

    def _wake(self) -> None:
        self.woken += 1

    async def explains(self, **row: Any) -> bool:
        one = queued(**row)
        return await self.recheck.explains(one, self.config.way_of(one), 17.0)


@pytest.fixture
def case(make_settings: MakeSettings) -> Case:
    return Case(make_settings())


def changed(**values: Any) -> VendorConfig:
    return VENDOR.model_copy(update=values)


async def test_nothing_has_changed(case: Case) -> None:
    assert not await case.explains()
    assert case.php.asked == [17.0]
    assert not case.recheck.busy


VERIFIED = [PhoneNumber(phone_number_id=NUMBER, verified=Verified(account_id="waba-1"))]


@pytest.mark.parametrize(
    "now",
    [
        {"access_token": "new"},
        {"current_phone_number_id": "220"},
        {"whatsapp_business_account_id": "waba-2"},
        {"phone_numbers": VERIFIED},
        {"marketing_messages": "strict"},
    ],
    ids=lambda now: next(iter(now)),
)
async def test_what_the_row_is_sent_with_has_changed(case: Case, now: dict[str, Any]) -> None:
    case.php.vendor = changed(**now)
    assert await case.explains()
    assert case.config.vendor == case.php.vendor


@pytest.mark.parametrize(
    "now",
    [
        {"daily_recipients": 5},
        {"phone_numbers": [PhoneNumber(phone_number_id=NUMBER, messages_per_second=5)]},
        {"app_secrets": ["another"]},
    ],
    ids=lambda now: next(iter(now)),
)
async def test_a_change_that_explains_nothing(case: Case, now: dict[str, Any]) -> None:
    """It is in force all the same."""
    case.php.vendor = changed(**now)
    assert not await case.explains()
    assert case.config.vendor == case.php.vendor


async def test_a_row_with_a_number_of_its_own_goes_from_that_one(case: Case) -> None:
    case.php.vendor = changed(current_phone_number_id="220")
    assert not await case.explains(from_phone_number_id=NUMBER)


async def test_a_change_that_was_announced_meanwhile_is_not_asked_for(case: Case) -> None:
    row = queued()
    way = case.config.way_of(row)
    case.config.vendor = changed(access_token="new")
    assert await case.recheck.explains(row, way, 17.0)
    assert not case.php.asked


async def test_there_is_no_such_vendor_any_more(case: Case) -> None:
    case.php.vendor = None
    assert await case.explains(), "the run ends, and pauses nothing"
    assert case.gone


async def test_nothing_is_sent_while_php_is_asked(case: Case) -> None:
    case.php.answers.clear()
    asking = asyncio.create_task(case.explains())
    await eventually(lambda: case.recheck.busy)
    assert case.woken == 0
    case.php.answers.set()
    assert not await asking
    assert not case.recheck.busy
    assert case.woken == 1


async def test_php_does_not_answer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the row goes again after a while, whatever the refusal says."""
    monkeypatch.setattr(module, "SILENT_S", 0.1)
    case.php.error = BackendUnavailable("gone")
    with capture_logs() as logs:
        assert await case.explains()
        assert await case.explains()
        assert case.recheck.busy
        await eventually(lambda: case.woken == 4)
        await eventually(lambda: not case.recheck.busy)
        case.php.error = None
        assert not await case.explains()
    assert [log["event"] for log in logs] == ["refusal.unexplained", "refusal.unexplained.resolved"]


async def test_php_takes_too_long(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.01)
    case.php.answers.clear()
    assert await case.explains()
    assert case.recheck.busy


async def test_the_token_is_in_no_text(case: Case) -> None:
    assert "old" not in repr(case.config.way_of(queued()))


#: Those that pause something, and those that stop a campaign for more than its template.
PAUSE = {"pause_number", "pause_account", "pause_token"}


@pytest.mark.parametrize("code", [*RULES, 250])
def test_which_refusals_may_be_due_to_a_setting(code: int) -> None:
    rule = rule_for(code, 400)
    decision = decide_error(rule, SendError(code=code, message="x"))
    pauses = rule.error_class in PAUSE and code != 131064  # that one lifts by itself
    stops = rule.error_class is ErrorClass.STOP_CAMPAIGN
    of_the_template = code in (132007, 132015, 132016, 132068)
    assert may_be_outdated(decision) is (pauses or (stops and not of_the_template))
