from contracts.backend import UpdateKind
from simulator.backend.envelope import phone_number_id, split

VALUE = {
    "metadata": {"phone_number_id": "77"},
    "contacts": [{"wa_id": "1"}, {"user_id": "GB.2"}],
    "messages": [{"id": "a", "from": "1"}, {"id": "b", "from_user_id": "GB.2"}, {"id": "c"}],
    "statuses": [{"id": "d"}],
    "message_echoes": [{"id": "e", "to": "1"}],
}


def test_every_update_is_found_with_its_contact() -> None:
    webhook = {
        "entry": [
            {"changes": [{"field": "messages", "value": VALUE}]},
            {"changes": [{"field": "account_update", "value": {"event": "X"}}]},
        ]
    }
    parts = list(split(webhook))
    kinds = [(part.kind, part.element.get("id"), part.contact) for part in parts]
    assert kinds == [
        (UpdateKind.MESSAGE, "a", {"wa_id": "1"}),
        (UpdateKind.MESSAGE, "b", {"user_id": "GB.2"}),
        (UpdateKind.MESSAGE, "c", {}),
        (UpdateKind.ECHO, "e", {"wa_id": "1"}),
        (UpdateKind.STATUS, "d", {}),
        (UpdateKind.CHANGE, None, {}),
    ]
    assert phone_number_id(parts[0].value) == "77"
    assert parts[-1].field == "account_update"


def test_an_only_contact_belongs_to_every_message() -> None:
    value = {"contacts": [{"profile": {"name": "Ada"}}], "messages": [{"id": "a"}]}
    (part,) = split({"entry": [{"changes": [{"value": value}]}]})
    assert part.contact == {"profile": {"name": "Ada"}}
