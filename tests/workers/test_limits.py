"""What a number may do, by its configuration."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.backend import PhoneNumber, VendorConfig
from tests.conftest import MakeSettings
from workers import limits as module
from workers.limits import Limits


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    module._say_once.cache_clear()
    yield
    module._say_once.cache_clear()


def of(make_settings: MakeSettings, rate: float | None = None, **config: Any) -> Limits:
    coexistence = config.pop("coexistence", False)
    number = PhoneNumber(phone_number_id="110", messages_per_second=rate, coexistence=coexistence)
    values = {"vendor_uid": "vendor-1", "phone_numbers": [number], **config}
    settings = make_settings(messages_per_second=80, rate_share=0.5)
    return Limits.of(VendorConfig(**values), "110", settings)


@pytest.mark.parametrize(
    ("rate", "coexistence", "expected"),
    [
        (None, False, 80),
        (250, False, 250),
        (1000, False, 1000),
        (0.5, False, 0.5),
        (None, True, 20),
        (80, True, 20),
        (5, True, 5),
    ],
)
def test_the_rate(
    make_settings: MakeSettings, rate: float | None, coexistence: bool, expected: float
) -> None:
    limits = of(make_settings, rate, coexistence=coexistence)
    assert limits.rate == expected * 0.5, "only the share that the settings name"


@pytest.mark.parametrize(
    "rate", [0, -1, float("nan"), float("inf"), float("-inf"), 1e-9, 1001, 1e300]
)
def test_a_rate_that_makes_no_sense_is_ignored_and_said_once(
    make_settings: MakeSettings, rate: float
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            assert of(make_settings, rate).rate == 40
    assert [log["event"] for log in logs] == ["rate_wrong_and_ignored"]
    assert logs[0]["of"] == "110"


def test_a_number_that_is_not_in_the_list_has_the_default(make_settings: MakeSettings) -> None:
    assert of(make_settings, 250, phone_numbers=[]).rate == 40


def test_what_a_number_belongs_to(make_settings: MakeSettings) -> None:
    limits = of(make_settings, whatsapp_business_account_id="waba-1", portfolio_id="portfolio-1")
    assert (limits.number, limits.account, limits.portfolio) == ("110", "waba-1", "portfolio-1")
    limits = of(make_settings, whatsapp_business_account_id="waba-1")
    assert limits.portfolio == "waba-1", "the account stands for it"


def test_vendors_without_an_account_are_not_held_together(make_settings: MakeSettings) -> None:
    assert of(make_settings).account != of(make_settings, vendor_uid="vendor-2").account


def test_vendors_of_one_app_are_known_by_its_secret_which_does_not_show(
    make_settings: MakeSettings,
) -> None:
    one = of(make_settings, app_secrets=["secret-1"]).app
    assert one == of(make_settings, vendor_uid="vendor-2", app_secrets=["secret-1", "old"]).app
    assert one != of(make_settings, app_secrets=["secret-2"]).app
    assert "secret-1" not in one
    assert of(make_settings).app == of(make_settings, vendor_uid="vendor-2").app


@pytest.mark.parametrize(("daily", "expected"), [(None, None), (2000, 2000), (0, None), (-5, None)])
def test_the_budget(make_settings: MakeSettings, daily: int | None, expected: int | None) -> None:
    assert of(make_settings, daily_recipients=daily).daily_recipients == expected
