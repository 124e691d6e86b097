"""``vendor-config``: numbers and secrets."""

import json

import pytest

from contracts import backend as contract
from contracts.effects import AiProvider, Broadcaster, ForwardTarget
from tests.contract.caller import Caller
from tests.contract.under_test import Vendor


async def _config(caller: Caller, *uids: str) -> contract.VendorConfigAnswer:
    answer = await caller.call(contract.VENDOR_CONFIG, {"vendor_uids": list(uids)})
    return contract.VendorConfigAnswer.model_validate(answer)


async def test_a_vendor_is_described(caller: Caller) -> None:
    vendor = caller.backend.seed_vendor(numbers=2, messages_per_second=250)
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.vendor_uid == vendor.uid
    assert config.active is True
    assert config.access_token == vendor.access_token
    assert config.app_secrets == [vendor.app_secret]
    assert config.whatsapp_business_account_id == vendor.business_account_id
    assert config.current_phone_number_id == vendor.phone_number_ids[0]
    numbers = config.phone_numbers
    assert tuple(number.phone_number_id for number in numbers) == vendor.phone_number_ids
    assert [number.messages_per_second for number in numbers] == [250, 250]


async def test_without_a_rate_it_is_null(caller: Caller, vendor: Vendor) -> None:
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.phone_numbers[0].messages_per_second is None


async def test_a_number_that_is_also_in_the_app_says_so(caller: Caller, vendor: Vendor) -> None:
    numbers = [{"id": "1", "is_on_biz_app": True}, {"id": "2", "is_on_biz_app": "no"}]
    caller.backend.set_setting(vendor, "whatsapp_phone_numbers", json.dumps(numbers))
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert {number.phone_number_id: number.coexistence for number in config.phone_numbers} == {
        "1": True,
        "2": False,
        vendor.phone_number_ids[0]: False,
    }


async def test_what_meta_has_told_of_a_number(caller: Caller, vendor: Vendor) -> None:
    told = {"account_id": "waba-1", "portfolio_id": "portfolio-1", "app_id": "app-1"}
    numbers = [{"id": "1", "verified": told}, {"id": "2", "verified": {"account_id": "waba-1"}}]
    caller.backend.set_setting(vendor, "whatsapp_phone_numbers", json.dumps(numbers))
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert {one.phone_number_id: one.verified for one in config.phone_numbers} == {
        "1": contract.Verified(**told),
        "2": contract.Verified(account_id="waba-1"),
        vendor.phone_number_ids[0]: None,
    }


@pytest.mark.parametrize(
    "told", [None, True, "waba-1", [], {}, {"account_id": ""}, {"account_id": 7}, {"app_id": "1"}]
)
async def test_what_is_entered_is_not_verified(
    caller: Caller, vendor: Vendor, told: object
) -> None:
    """Nor what does not even name an account."""
    numbers = [{"id": "1", "verified": told}]
    caller.backend.set_setting(vendor, "whatsapp_phone_numbers", json.dumps(numbers))
    caller.backend.set_setting(vendor, "whatsapp_business_account_id", "waba-of-another")
    caller.backend.set_setting(vendor, "current_phone_number_id", "number-of-another")
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.whatsapp_business_account_id == "waba-of-another"
    assert {one.phone_number_id: one.verified for one in config.phone_numbers} == {
        "1": None,
        "number-of-another": None,
    }


async def test_the_portfolio_and_its_limit(caller: Caller, vendor: Vendor) -> None:
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert (config.portfolio_id, config.daily_recipients) == (None, None)
    caller.backend.set_setting(vendor, "whatsapp_portfolio_id", "portfolio-1")
    caller.backend.set_setting(vendor, "whatsapp_daily_recipients", "2000")
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert (config.portfolio_id, config.daily_recipients) == ("portfolio-1", 2000)


@pytest.mark.parametrize("text", ["", "0", "-5", "2K", "1e3", "12345678901"])
async def test_a_limit_that_is_no_number_is_none(caller: Caller, vendor: Vendor, text: str) -> None:
    caller.backend.set_setting(vendor, "whatsapp_daily_recipients", text)
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.daily_recipients is None


async def test_what_effects_need(caller: Caller, vendor: Vendor) -> None:
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.bots_on_sidecar is False
    assert (config.ai_providers, config.forward, config.broadcaster) == ([], None, None)
    ai = AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="sk-1", model="m")
    forward = ForwardTarget(url="http://127.0.0.1:2/hook", secret="s-2")
    pusher = Broadcaster(url="http://127.0.0.1:3", app_id="4", key="k", secret="s-3")
    caller.backend.seed_effects(vendor, ai=ai, forward=forward, broadcaster=pusher)
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.bots_on_sidecar is True
    assert config.ai_providers == [ai]
    assert (config.forward, config.broadcaster) == (forward, pusher)


async def test_providers_that_cannot_be_asked_are_left_out(caller: Caller, vendor: Vendor) -> None:
    providers = [{"name": "no url"}, "text", {"name": "flow", "kind": "flowise", "url": "http://f"}]
    caller.backend.set_setting(vendor, "ai_providers", json.dumps(providers))
    caller.backend.set_setting(vendor, "broadcaster", "no JSON")
    caller.backend.set_setting(vendor, "webhook_forward_url", "")
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert [provider.name for provider in config.ai_providers] == ["flow"]
    assert (config.forward, config.broadcaster) == (None, None)


async def test_an_inactive_vendor_says_so(caller: Caller, vendor: Vendor) -> None:
    caller.backend.change("vendors", {"status": 2}, _id=vendor.id)
    assert (await _config(caller, vendor.uid)).vendors[0].active is False


async def test_unknown_vendors_are_named(caller: Caller, vendor: Vendor) -> None:
    other = caller.backend.seed_vendor()
    answer = await _config(caller, "nobody", other.uid, vendor.uid, "nothing")
    assert {config.vendor_uid for config in answer.vendors} == {vendor.uid, other.uid}
    assert set(answer.unknown) == {"nobody", "nothing"}


async def test_a_vendor_without_settings_has_none(caller: Caller, vendor: Vendor) -> None:
    caller.backend.delete("vendor_settings", vendors__id=vendor.id)
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.access_token is None
    assert config.app_secrets == []
    assert config.current_phone_number_id is None
    assert config.phone_numbers == []


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("fallback", "fallback"),
        (" Strict ", "strict"),
        ("off", "off"),
        ("", "off"),
        ("1", "off"),
    ],
)
async def test_how_marketing_templates_are_sent(
    caller: Caller, vendor: Vendor, stored: str, told: str
) -> None:
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.marketing_messages == "off"
    caller.backend.set_setting(vendor, "whatsapp_marketing_messages", stored)
    (config,) = (await _config(caller, vendor.uid)).vendors
    assert config.marketing_messages == told
