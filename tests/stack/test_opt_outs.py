"""The Laravel package's setting of whose messages of campaigns are not sent."""

import json

import pytest

from tests.contract.caller import claim_request
from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.stack.php_code import run_php

VARIABLE = "WHATSAPP_SIDECAR_CAMPAIGN_OPT_OUTS"
CLAIM = "WhatsappSidecar\\Laravel\\Actions\\ClaimMessages"


@pytest.mark.parametrize(
    ("value", "category", "sent"),
    [
        ("off", "MARKETING", "opted-out blocked deleted fine"),
        ("false", "MARKETING", "opted-out blocked deleted fine"),
        (" Marketing", "MARKETING", "fine"),
        ("marketing", "UTILITY", "opted-out fine"),
        ("null", None, "fine"),
        ("all", "UTILITY", "fine"),
    ],
)
def test_who_gets_it(
    backend: LaravelBackend, vendor: Vendor, value: str, category: str | None, sent: str
) -> None:
    campaign = backend.seed_campaign(vendor, 4, category=category)
    opted_out, blocked, deleted, fine = campaign.row_uids
    names = {opted_out: "opted-out", blocked: "blocked", deleted: "deleted", fine: "fine"}
    rows = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    ids = [row["contacts__id"] for row in rows]
    backend.change("contacts", {"whatsapp_opt_out": 1}, _id=ids[0])
    backend.change("contacts", {"wa_blocked_at": "2025-01-01 00:00:00"}, _id=ids[1])
    backend.change("whatsapp_message_queue", {"contacts__id": None}, _uid=deleted)
    body = json.dumps(claim_request(campaign))
    code = f"return $app->make({CLAIM}::class)->handle('{body}');"
    answer = run_php(backend.installation.application, code, {VARIABLE: value})
    assert [names[row["uid"]] for row in answer["rows"]] == sent.split()
    assert answer["skipped"] == 4 - len(answer["rows"])


@pytest.mark.parametrize("value", ["marketing,all", "on", ""])
def test_a_word_that_there_is_not(backend: LaravelBackend, value: str) -> None:
    with pytest.raises(AssertionError, match=f"{VARIABLE} must be one of off, marketing, all"):
        run_php(
            backend.installation.application,
            f"return $app->make({CLAIM}::class);",
            {VARIABLE: value},
        )
