"""Whose messages are sent, under which name, and what is told of them."""

from contracts.backend import SendOutcome, VendorConfig
from sidecar.clock import now_ms
from sidecar.effects.outbox import replies_of
from tests.conftest import MakeSettings
from tests.workers.rows import CAMPAIGN, CLAIM, queued
from workers.sending.send_config import SendConfig

VENDOR = VendorConfig(vendor_uid="vendor-1", current_phone_number_id="110")


def test_a_campaign_and_replies_have_names_of_their_own(make_settings: MakeSettings) -> None:
    campaign = SendConfig(make_settings(), VENDOR, CAMPAIGN)
    replies = SendConfig(make_settings(), VENDOR)
    assert (campaign.name, campaign.of_campaign) == (CAMPAIGN, True)
    assert (replies.name, replies.of_campaign) == (replies_of("vendor-1"), False)
    assert campaign.vendor_uid == replies.vendor_uid == "vendor-1"


def test_a_row_goes_out_from_its_own_number_or_the_vendors(make_settings: MakeSettings) -> None:
    config = SendConfig(make_settings(), VENDOR, CAMPAIGN)
    assert config.number_of(queued(from_phone_number_id="7")) == "7"
    assert config.number_of(queued()) == "110"
    assert SendConfig(make_settings(), VendorConfig(vendor_uid="v")).number_of(queued()) == ""


def test_the_limits_are_the_vendors(make_settings: MakeSettings) -> None:
    config = SendConfig(make_settings(messages_per_second=40, rate_share=0.5), VENDOR, CAMPAIGN)
    limits = config.limits_of("110")
    assert (limits.vendor_uid, limits.number, limits.rate) == ("vendor-1", "110", 20.0)


def test_a_result_says_whose_it_is_and_when(make_settings: MakeSettings) -> None:
    before = now_ms()
    replies = SendConfig(make_settings(), VENDOR)
    told = replies.result("row-1", CLAIM, "110", SendOutcome.UNKNOWN)
    assert (told.uid, told.claim_uid, told.phone_number_id) == ("row-1", CLAIM, "110")
    assert (told.vendor_uid, told.campaign_uid) == ("vendor-1", None)
    assert before <= told.at <= now_ms()
    campaign = SendConfig(make_settings(), VENDOR, CAMPAIGN)
    later = campaign.result("row-1", CLAIM, "110", SendOutcome.REQUEUE, at=5, due_at=9)
    assert (later.campaign_uid, later.at, later.due_at) == (CAMPAIGN, 5, 9)
