"""The table of fields, and ids. PHP is held to the same vectors (``FieldsTest.php``)."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import contracts
from contracts.backend import UpdateKind
from contracts.cloud_api.fields import LISTS, kind_of, lists_of
from contracts.cloud_api.people import identifier
from sidecar.inbox.store import RawWebhook
from tests.workers.payloads import account, entry, envelope
from tests.workers.splitting import only_change
from workers.inbox.split import split_webhook

VECTORS = msgspec.json.decode(
    (Path(contracts.__file__).parent / "vectors" / "fields.json").read_bytes()
)


@pytest.mark.parametrize("case", VECTORS["changes"], ids=lambda case: case["name"])
def test_what_a_change_is_split_into(case: Any) -> None:
    body = msgspec.json.encode(envelope(account(case["change"])))
    updates = split_webhook(RawWebhook(b"", body), entry(body), "name")
    found = []
    for one in updates:
        assert one.kind is not None
        found.append({"kind": one.kind.value, "element": only_change(one)["value"]})
        if one.kind is not UpdateKind.CHANGE:
            contacts = only_change(one)["value"].get("contacts", [])
            found[-1]["element"] = one.element
            if contacts:
                [found[-1]["contact"]] = contacts
        assert only_change(one).get("field") == case["change"].get("field")
    assert found == case["updates"]


@pytest.mark.parametrize(("value", "text"), VECTORS["ids"])
def test_what_an_id_is(value: Any, text: str | None) -> None:
    assert identifier(value) == text


def test_without_a_field_it_may_be_any_list() -> None:
    assert lists_of(None) == lists_of("") == lists_of(5) == LISTS
    assert lists_of("messages") == {n: LISTS[n] for n in ("messages", "statuses")}
    assert not lists_of("history")


def test_only_a_status_is_of_a_call() -> None:
    assert kind_of(UpdateKind.MESSAGE, {"type": "call"}) is UpdateKind.MESSAGE
    assert kind_of(UpdateKind.STATUS, {"id": 7}) is UpdateKind.STATUS
