"""Campaigns of marketing templates through the real processes: by ``/messages`` or by the Marketing
Messages API, as the vendor's setting says, whatever the account takes."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from contracts import sidecar_api as api
from contracts.campaigns import CampaignState
from contracts.signing import Audience, Signer
from simulator.backend.database import open_database
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.backend.vendors import MARKETING_MESSAGES
from simulator.control import lines, order, read
from simulator.embedded import EmbeddedInstallation
from tests.system.running import QUICK_CUSTOMERS, wait_for

RATE = 200
MESSAGES = 40

#: Each test has a vendor of its own, with the next of these.
NUMBERS = [str(number) for number in range(110, 140)]


@dataclass
class Shop:
    """A vendor who sends campaigns."""

    installation: EmbeddedInstallation
    vendor: SeededVendor

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make a signed call of PHP's."""
        content = b"" if body is None else orjson.dumps(body)
        key = next(iter(self.installation.keys.items()))
        headers = Signer(Audience.SIDECAR, *key).headers(method, path, content)
        url = self.installation.processes["sidecar"].url + path
        answer = httpx.request(
            method, url, content=content, headers=headers, timeout=30, trust_env=False
        )
        return orjson.loads(answer.raise_for_status().content)

    def set(self, marketing_messages: str, *, announced: bool = True) -> None:
        """Change how the vendor's marketing templates are sent."""
        connection = open_database(self.installation.database)
        try:
            connection.execute(
                "UPDATE vendor_settings SET value = ? WHERE vendors__id = ? AND name = ?",
                (marketing_messages, self.vendor.id, MARKETING_MESSAGES),
            )
        finally:
            connection.close()
        if announced:
            self.call("POST", api.INVALIDATE, {"vendor_uids": [self.vendor.uid]})

    def have_account(self, *, onboarded: bool = True, switch: bool = False) -> None:
        """``switch``: the account refuses marketing templates on ``/messages``."""
        order(
            self.installation.processes["cloud-api"],
            "marketing",
            {
                "marketing_messages_onboarded": onboarded,
                "disable_marketing_messages_on_cloud_api": switch,
            },
        )

    def have_template(self, name: str, **facts: str) -> None:
        """Have Meta know a template."""
        order(self.installation.processes["cloud-api"], "templates", {"name": name, **facts})

    def send(self, messages: int = MESSAGES, **options: Any) -> SeededCampaign:
        """Start a campaign, of a marketing template, if ``options`` do not say another one."""
        campaign = self.installation.seed_campaign(
            self.vendor.uid, messages, paused=True, **options
        )
        self.act(campaign, api.CAMPAIGN_SEND)
        return campaign

    def act(self, campaign: SeededCampaign, path: str) -> None:
        self.call("POST", path.format(campaign_uid=campaign.uid), {})

    def state(self, campaign: SeededCampaign) -> api.CampaignAnswer:
        path = api.CAMPAIGN.format(campaign_uid=campaign.uid)
        return api.CampaignAnswer.model_validate(self.call("GET", path))

    def sent(self, campaign: SeededCampaign) -> list[dict[str, Any]]:
        """Return what the Cloud API has accepted of a campaign."""
        rows = set(campaign.row_uids)
        accepted = lines(self.installation.processes["cloud-api"], "messages")
        return [one for one in accepted if one["callback_data"] in rows]

    def refusals(self, campaign: SeededCampaign) -> list[str]:
        rows = set(campaign.row_uids)
        met = lines(self.installation.processes["cloud-api"], "mishaps")
        return [one["what"] for one in met if one["callback_data"] in rows]

    def finish(self, campaign: SeededCampaign) -> list[dict[str, Any]]:
        """Wait until each message was sent, once, and PHP has its last status."""
        logged: dict[str | None, str | None] = {}

        def is_read() -> bool:
            outgoing = self.installation.tables.outgoing_messages(self.vendor.uid)
            logged.update({one.queue_row_uid: one.status for one in outgoing})
            return all(logged.get(uid) == "read" for uid in campaign.row_uids)

        wait_for(is_read, "all statuses")
        sent = self.sent(campaign)
        assert sorted(one["callback_data"] for one in sent) == sorted(campaign.row_uids)
        assert {one["accepts"] for one in sent} == {1}
        return sent

    def wait_for_pause(self, campaign: SeededCampaign) -> str:
        """Wait until the campaign is paused, and all that was not sent is back in the queue. Return
        the reason."""
        wait_for(lambda: self._is_paused(campaign), "a pause")
        return self.state(campaign).reason or ""

    def _is_paused(self, campaign: SeededCampaign) -> bool:
        state = self.state(campaign)
        rows = len(campaign.row_uids) - len(self.sent(campaign))
        return state.state is CampaignState.PAUSED and state.counts.queued == rows


#: Open one whose vendor has this setting.
OpenShop = Callable[[str], Shop]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedInstallation]:
    installation = EmbeddedInstallation(tmp_path_factory.mktemp("marketing"))
    installation.configure(
        lease_ttl_ms=1500,
        reconcile_interval_s=0.2,
        backend_timeout_s=5,
        due_campaigns_interval_s=1,
    )
    with installation:
        installation.start_redis()
        installation.start_backend()
        installation.start_sidecar()
        numbers = itertools.chain.from_iterable(("--phone-number-id", one) for one in NUMBERS)
        installation.start_cloud_api(*numbers, "--rate", str(RATE), *QUICK_CUSTOMERS)
        installation.start_worker()
        yield installation


@pytest.fixture(scope="module")
def numbers() -> Iterator[str]:
    return iter(NUMBERS)


@pytest.fixture
def open_shop(installation: EmbeddedInstallation, numbers: Iterator[str]) -> Iterator[OpenShop]:
    cloud_api = installation.processes["cloud-api"]

    def open_shop(marketing_messages: str) -> Shop:
        number = next(numbers)
        [vendor] = installation.seed_vendors(
            phone_number_ids=[number],
            messages_per_second=RATE,
            marketing_messages=marketing_messages,
        )
        url = installation.webhook_url(vendor.uid)
        order(cloud_api, "webhook-url", {"url": url, "phone_number_id": number})
        shop = Shop(installation, vendor)
        shop.have_account()
        return shop

    yield open_shop
    assert read(cloud_api, "report")["sent_twice"] == 0


@pytest.mark.parametrize("onboarded", [True, False])
@pytest.mark.parametrize(
    ("setting", "switch", "policy"),
    [
        ("off", False, None),
        ("fallback", False, "CLOUD_API_FALLBACK"),
        ("fallback", True, "CLOUD_API_FALLBACK"),
        ("strict", False, "STRICT"),
        ("strict", True, "STRICT"),
    ],
)
def test_a_campaign_goes_as_the_setting_says(
    open_shop: OpenShop, setting: str, switch: bool, policy: str | None, onboarded: bool
) -> None:
    """and is paused, with what to do, where the account does not take it so."""
    shop = open_shop(setting)
    shop.have_account(onboarded=onboarded, switch=switch)
    campaign = shop.send()
    if not onboarded and (setting == "strict" or switch):
        reason = shop.wait_for_pause(campaign)
        assert reason.startswith("131063 " if setting == "fallback" else "134102 ")
        assert "marketing_messages" in reason, "which setting to change"
        assert not shop.sent(campaign)
        shop.have_account(switch=switch)
        shop.act(campaign, api.CAMPAIGN_RESUME)
        onboarded = True
    sent = shop.finish(campaign)
    assert {one["product_policy"] for one in sent} == {policy}
    assert {one["lite"] for one in sent} == {policy is not None and onboarded}


def test_an_account_that_takes_no_marketing_templates_by_messages(open_shop: OpenShop) -> None:
    """The person reads which setting to change. Changing it is enough, whether it is announced or
    not; the rows are all there."""
    shop = open_shop("off")
    shop.have_account(switch=True)
    campaign = shop.send()
    reason = shop.wait_for_pause(campaign)
    assert reason.startswith("131063 ")
    assert "marketing_messages to fallback or strict" in reason
    shop.set("fallback", announced=False)
    shop.act(campaign, api.CAMPAIGN_RESUME)
    assert {one["product_policy"] for one in shop.finish(campaign)} == {"CLOUD_API_FALLBACK"}


def test_a_change_is_in_force_in_a_campaign_that_runs(open_shop: OpenShop) -> None:
    shop = open_shop("off")
    campaign = shop.send(2 * RATE)
    wait_for(lambda: len(shop.sent(campaign)) >= 20, "the first ones")
    shop.set("strict")
    policies = [one["product_policy"] for one in shop.finish(campaign)]
    assert policies[0] is None
    assert set(policies[-RATE // 2 :]) == {"STRICT"}


def test_a_template_that_is_not_marketing_any_more_goes_by_messages(open_shop: OpenShop) -> None:
    shop = open_shop("strict")
    shop.have_template("appealed", category="UTILITY")
    campaign = shop.send(template_name="appealed", category="MARKETING")
    assert {one["product_policy"] for one in shop.finish(campaign)} == {None}
    refusals = shop.refusals(campaign)
    assert set(refusals) == {"134100"}
    assert len(refusals) < MESSAGES, "it is learned"


@pytest.mark.parametrize("category", ["UTILITY", None])
def test_a_template_that_has_become_marketing(open_shop: OpenShop, category: str | None) -> None:
    """PHP does not know that yet, or does not know the template."""
    shop = open_shop("strict")
    shop.have_account(switch=True)
    campaign = shop.send(category=category)
    assert {one["product_policy"] for one in shop.finish(campaign)} == {"STRICT"}
    refusals = shop.refusals(campaign)
    assert set(refusals) == {"131063"}
    assert len(refusals) < MESSAGES, "it is learned"


def test_other_templates_go_by_messages(open_shop: OpenShop) -> None:
    shop = open_shop("strict")
    shop.have_account(onboarded=False, switch=True)
    shop.have_template("receipt", category="UTILITY")
    campaign = shop.send(template_name="receipt", category="UTILITY")
    assert {one["product_policy"] for one in shop.finish(campaign)} == {None}
    assert shop.refusals(campaign) == []


def test_a_template_that_is_syncing(open_shop: OpenShop) -> None:
    """The campaign waits, and says so."""
    shop = open_shop("strict")
    shop.have_template("new", sync="syncing")
    campaign = shop.send(template_name="new")
    wait_for(lambda: shop.state(campaign).counts.queued == MESSAGES, "all to be back")
    wait_for(lambda: "134101" in (shop.state(campaign).waits_for or ""), "its reason")
    assert shop.state(campaign).state is CampaignState.RUNNING
    shop.have_template("new", sync="synced")
    shop.act(campaign, api.CAMPAIGN_SEND)
    assert {one["lite"] for one in shop.finish(campaign)} == {True}


def test_a_template_that_cannot_be_synced(open_shop: OpenShop) -> None:
    shop = open_shop("fallback")
    shop.have_template("lame", sync="unavailable")
    campaign = shop.send(template_name="lame")
    reason = shop.wait_for_pause(campaign)
    assert reason.startswith("134102 ")
    assert "marketing_messages to off" in reason
    shop.set("off")
    shop.act(campaign, api.CAMPAIGN_RESUME)
    assert {one["product_policy"] for one in shop.finish(campaign)} == {None}
