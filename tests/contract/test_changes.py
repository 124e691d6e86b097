"""Changes that are neither message nor status."""

from typing import Any

import pytest

from tests.contract.caller import Caller
from tests.contract.payloads import change
from tests.contract.under_test import Vendor

DISCONNECTED = "whatsapp_account_disconnected_at"


async def test_partner_removed_disconnects_the_account(caller: Caller, vendor: Vendor) -> None:
    assert not caller.backend.setting(vendor, DISCONNECTED)
    for _ in range(2):
        (answer,) = await caller.process(
            change(vendor, "account_update", {"event": "PARTNER_REMOVED"})
        )
        assert answer.result == "done"
    assert caller.backend.setting(vendor, DISCONNECTED)


async def test_another_account_update_is_ignored(caller: Caller, vendor: Vendor) -> None:
    (answer,) = await caller.process(change(vendor, "account_update", {"event": "PARTNER_ADDED"}))
    assert answer.result == "ignored"
    assert not caller.backend.setting(vendor, DISCONNECTED)


def _synced(number: str, name: str | None, action: str = "add") -> dict[str, Any]:
    contact = {"phone_number": number, "full_name": name, "first_name": (name or "").split(" ")[0]}
    return {"type": "contact", "contact": contact, "action": action}


async def test_contacts_of_the_phone_are_upserted(caller: Caller, vendor: Vendor) -> None:
    first = [_synced("+999 1001", "Ada Stone"), _synced("9991002", "Ben Hill")]
    second = [_synced("9991001", "Ada Rivers"), _synced("9991002", "Not Ben", "remove")]
    for contacts in (first, second):
        (answer,) = await caller.process(
            change(vendor, "smb_app_state_sync", {"state_sync": contacts})
        )
        assert answer.result == "done"
    contacts = caller.backend.rows("contacts", vendors__id=vendor.id)
    names = [(row["wa_id"], row["first_name"], row["last_name"]) for row in contacts]
    assert names == [("9991001", "Ada", "Rivers"), ("9991002", "Ben", "Hill")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history", {"history": [{"metadata": {"phase": 0}, "threads": []}]}),
        ("phone_number_quality_update", {"event": "ONBOARDING"}),
        ("from_the_future", {"anything": [1, 2]}),
        ("messages", {"user_actions": [{"type": "click"}]}),
        ("smb_app_state_sync", {"state_sync": "none"}),
    ],
)
async def test_other_fields_are_ignored(
    caller: Caller, vendor: Vendor, field: str, value: dict[str, Any]
) -> None:
    (answer,) = await caller.process(change(vendor, field, value))
    assert answer.result == "ignored"
    assert answer.reason
    assert caller.backend.rows("contacts", vendors__id=vendor.id) == []
