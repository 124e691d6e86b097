"""What a number may do, by its configuration."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contracts.backend import PhoneNumber, VendorConfig, Verified
from sidecar.redis import keys
from sidecar.sending.rates import say_once
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from workers.sending.holds import Scope
from workers.sending.limits import Limits


@pytest.fixture(autouse=True)
def nothing_said_yet() -> Iterator[None]:
    say_once.cache_clear()
    yield
    say_once.cache_clear()


def of(make_settings: MakeSettings, rate: float | None = None, **config: Any) -> Limits:
    more = {name: config.pop(name) for name in ("coexistence", "verified") if name in config}
    number = PhoneNumber(phone_number_id="110", messages_per_second=rate, **more)
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
    "rate", [0, -1, float("nan"), float("inf"), float("-inf"), 1e-9, 10_001, 1e300]
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
    """What Meta has told of it has a name that all vendors share."""
    told = Verified(account_id="waba-1", portfolio_id="portfolio-1", app_id="app-1")
    limits = of(make_settings, verified=told, whatsapp_business_account_id="another")
    assert (limits.number, limits.line, limits.vendor_uid) == ("110", "110", "vendor-1")
    assert (limits.account, limits.portfolio, limits.app) == ("waba-1", "portfolio-1", "app-1")
    limits = of(make_settings, verified=Verified(account_id="waba-1"))
    assert limits.portfolio == "waba-1", "the account stands for it"
    assert limits.app == "vendor-1/app"


def test_what_was_only_entered(make_settings: MakeSettings) -> None:
    limits = of(make_settings, whatsapp_business_account_id="waba-1", portfolio_id="portfolio-1")
    assert (limits.number, limits.line) == ("110", "vendor-1/110")
    assert (limits.account, limits.portfolio) == ("vendor-1/waba-1", "vendor-1/portfolio-1")
    assert limits.app == "vendor-1/app"
    limits = of(make_settings, whatsapp_business_account_id="waba-1")
    assert limits.portfolio == "vendor-1/waba-1", "the account stands for it"
    told = Verified(account_id="waba-1")
    limits = of(make_settings, verified=told, portfolio_id="portfolio-1")
    assert limits.portfolio == "vendor-1/portfolio-1"


#: What somebody may enter, to hit upon the name of what is another's.
_PARTS = ["110", "waba-1", "portfolio-1", "app-1", "app", "alice", "bob", "/", ":", "1", "number"]
_ENTERED = st.lists(st.sampled_from(_PARTS)).map("".join) | st.text(max_size=9)
_SETTINGS = st.tuples(_ENTERED, _ENTERED, _ENTERED)


def test_nothing_that_is_entered_is_the_name_of_what_is_anothers(
    make_settings: MakeSettings,
) -> None:
    """Nor of what Meta has confirmed to be another's; whatever the other has entered."""
    settings = make_settings()
    told = Verified(account_id="waba-1", portfolio_id="portfolio-1", app_id="app-1")
    verified = [PhoneNumber(phone_number_id="110", verified=told)]
    confirmed = _keys(settings, "bob", ("110", "", ""), phone_numbers=verified)

    @given(_SETTINGS, _SETTINGS)
    def check(mine: tuple[str, str, str], of_another: tuple[str, str, str]) -> None:
        entered = _keys(settings, "bob", of_another)
        assert not _keys(settings, "alice", mine) & (entered | confirmed)

    check()


def _keys(
    settings: Settings, vendor_uid: str, entered: tuple[str, str, str], **more: Any
) -> set[str]:
    """Return the keys that a campaign of such a vendor has to do with."""
    number, account, portfolio = entered
    config = VendorConfig(
        vendor_uid=vendor_uid,
        whatsapp_business_account_id=account,
        portfolio_id=portfolio,
        **more,
    )
    limits = Limits.of(config, number, settings)
    return {
        *(
            make(limits.line)
            for make in (keys.number, keys.outage, keys.turns, keys.wanting, keys.urgent)
        ),
        *(keys.pair(limits.line, recipient) for recipient in ("1", "110")),
        keys.hold(Scope.ACCOUNT, limits.account),
        keys.hold(Scope.APP, limits.app),
        keys.recipients(limits.portfolio),
        *limits.pauses,
    }


def test_vendors_without_an_account_are_not_held_together(make_settings: MakeSettings) -> None:
    assert of(make_settings).account != of(make_settings, vendor_uid="vendor-2").account


def test_an_app_secret_does_not_tell_whose_token_it_is(make_settings: MakeSettings) -> None:
    """The installation's app secret is everybody's; a token may be of another app."""
    one = of(make_settings, app_secrets=["secret-1"]).app
    assert one != of(make_settings, vendor_uid="vendor-2", app_secrets=["secret-1"]).app


@pytest.mark.parametrize(("daily", "expected"), [(None, None), (2000, 2000), (0, None), (-5, None)])
def test_the_budget(make_settings: MakeSettings, daily: int | None, expected: int | None) -> None:
    assert of(make_settings, daily_recipients=daily).daily_recipients == expected
