"""How the messages of a campaign, or of a vendor's replies, are sent."""

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.backend import PhoneNumber, SendOutcome, VendorConfig
from contracts.modes import Mode, Modes
from sidecar.effects.outbox import vendor_of_replies
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from workers.sending import send_config
from workers.sending.send_config import SendConfig

VENDOR = VendorConfig(vendor_uid="v-1", current_phone_number_id="110")


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


def test_of_a_campaign(settings: Settings) -> None:
    config = SendConfig(settings, VENDOR, "c-1")
    assert (config.name, config.of_campaign, config.vendor_uid) == ("c-1", True, "v-1")


def test_replies_are_known_by_their_vendor(settings: Settings) -> None:
    config = SendConfig(settings, VENDOR)
    assert not config.of_campaign
    assert vendor_of_replies(config.name) == "v-1"


@pytest.mark.parametrize(
    ("from_", "current", "number"),
    [("220", "110", "220"), (None, "110", "110"), (None, None, "")],
)
def test_the_number_of_a_row(
    settings: Settings, from_: str | None, current: str | None, number: str
) -> None:
    vendor = VENDOR.model_copy(update={"current_phone_number_id": current})
    config = SendConfig(settings, vendor, "c-1")
    row: Any = SimpleNamespace(row=SimpleNamespace(from_phone_number_id=from_))
    assert config.number_of(row) == number
    assert config.limits_of(number).number == number


def test_limits_are_those_of_the_vendor_as_it_is_now(settings: Settings) -> None:
    number = PhoneNumber(phone_number_id="110", messages_per_second=20)
    config = SendConfig(settings, VENDOR.model_copy(update={"phone_numbers": [number]}), "c-1")
    assert config.limits_of("110") is config.limits_of("110")
    before = config.limits_of("110").rate
    number = PhoneNumber(phone_number_id="110", messages_per_second=40)
    config.vendor = VENDOR.model_copy(update={"phone_numbers": [number]})
    assert config.limits_of("110").rate == 2 * before


@pytest.mark.parametrize(
    ("campaign", "webhooks", "wait_s"),
    [
        ("c-1", Mode.SIDECAR, 0.8),
        (None, Mode.SIDECAR, 0.4),
        ("c-1", Mode.SHADOW, 0.05),
        ("c-1", Mode.PHP, 0.05),
        (None, Mode.PHP, 0.05),
    ],
)
def test_results_hardly_wait_while_php_takes_the_webhooks(
    make_settings: MakeSettings, campaign: str | None, webhooks: Mode, wait_s: float
) -> None:
    vendor = VENDOR.model_copy(update={"modes": Modes(webhooks=webhooks)})
    config = SendConfig(make_settings(result_wait_ms=800), vendor, campaign)
    assert config.result_wait_s == wait_s


def test_what_php_is_told_of_a_row(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_config, "now_ms", lambda: 77)
    config = SendConfig(settings, VENDOR, "c-1")
    result = config.result("r-1", "claim", "110", SendOutcome.UNKNOWN)
    assert (result.uid, result.vendor_uid, result.campaign_uid) == ("r-1", "v-1", "c-1")
    assert (result.claim_uid, result.phone_number_id, result.at) == ("claim", "110", 77)
    assert config.result("r-1", "claim", "110", SendOutcome.UNKNOWN, at=5).at == 5
