"""A row as PHP's cron has sent it, beside the request that the sidecar would make."""

from typing import Any

import pytest

from contracts.backend import ClaimedRow, QueueStatus, VendorConfig
from contracts.preview import PreviewedMessage, SentByPhp
from sidecar.shadow.rules import Class, Kind, Rule
from tests.workers.rows import claimed_row
from workers.shadow.sends import MAX_VALUES, compare_send

VENDOR = VendorConfig(vendor_uid="v-1", current_phone_number_id="110")


def components(name: str = "Ada", index: Any = "0") -> list[dict[str, Any]]:
    return [
        {"type": "body", "parameters": [{"type": "text", "text": name}]},
        {"type": "button", "sub_type": "url", "index": index, "parameters": []},
    ]


def row(**values: Any) -> ClaimedRow:
    return claimed_row("row-1", to="999700000001").model_copy(
        update={"template_language": "en", "components": components(), **values}
    )


def sent(**values: Any) -> SentByPhp:
    known = {
        "wamid": "wamid.1",
        "phone_number_id": "110",
        "to": "+999700000001",
        "template_name": row().template_name,
        "template_language": "en",
        "components": components(),
    }
    return SentByPhp(**{**known, **values})


def message(**values: Any) -> PreviewedMessage:
    known = {"vendor_uid": "v-1", "campaign_uid": "c-1", "row": row(), "sent": sent()}
    return PreviewedMessage(**{**known, "status": QueueStatus.AWAITING_STATUS, **values})


def found(one: PreviewedMessage, **options: Any) -> tuple[Class, Rule | None]:
    finding = compare_send(one, VENDOR, **options)
    assert finding.kind is Kind.CAMPAIGN
    return finding.class_, finding.rule


NO_REQUEST = (Class.EXPLAINED, Rule.PHP_KEEPS_NO_REQUEST)
OPTED_OUT = {"skipped": "contact_opted_out_error"}
FAILED = {"status": QueueStatus.ERROR, "sent": None}
EXPIRED = {"status": QueueStatus.EXPIRED, "sent": None}


@pytest.mark.parametrize(
    ("values", "becomes"),
    [
        ({}, (Class.EQUAL, None)),
        ({"sent": sent(components=components(index=0))}, (Class.EQUAL, None)),
        ({"sent": sent(template_name=None, template_language=None)}, (Class.EQUAL, None)),
        ({"sent": sent(components=None)}, NO_REQUEST),
        ({"sent": None}, NO_REQUEST),
        (FAILED, NO_REQUEST),
        ({**FAILED, "error_status": "campaign_error"}, NO_REQUEST),
        ({**FAILED, **OPTED_OUT, "error_status": OPTED_OUT["skipped"]}, (Class.EQUAL, None)),
        ({**FAILED, "error_status": OPTED_OUT["skipped"]}, (Class.EXTRA, None)),
        ({**EXPIRED, "skipped": "campaign_expired_error"}, (Class.EQUAL, None)),
        (EXPIRED, (Class.EXTRA, None)),
        ({"skipped": "campaign_expired_error"}, (Class.MISSING, None)),
        ({"row": row(to=None)}, (Class.MISSING, None)),
        (OPTED_OUT, (Class.EXPLAINED, Rule.CONTACT_GETS_NOTHING)),
    ],
)
def test_what_was_done(values: dict[str, Any], becomes: tuple[Class, Rule | None]) -> None:
    assert found(message(**values)) == becomes


def test_a_recipient_that_the_sidecar_spares() -> None:
    explained = (Class.EXPLAINED, Rule.RECIPIENT_SUPPRESSED)
    assert found(message(), suppressed=True) == explained
    late = message(skipped="campaign_expired_error")
    assert found(late, suppressed=True) == (Class.MISSING, None)


@pytest.mark.parametrize(
    ("of_row", "of_php", "name", "sidecar", "php"),
    [
        ({"from_phone_number_id": "111"}, {}, "number", "111", "110"),
        ({}, {"template_name": "other"}, "template", row().template_name, "other"),
        ({}, {"template_language": "de"}, "language", "en", "de"),
        ({}, {"components": components(index="1")}, "components.1.index", "0", "1"),
    ],
)
def test_values_that_differ_are_named(
    of_row: dict[str, Any], of_php: dict[str, Any], name: str, sidecar: str, php: str
) -> None:
    finding = compare_send(message(row=row(**of_row), sent=sent(**of_php)), VENDOR)
    assert finding.class_ is Class.DIFFERENT
    assert finding.sidecar == {"campaign": "c-1", name: sidecar}
    assert finding.php == {"campaign": "c-1", name: php}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"components": components("Dear customer")}, "components.0.parameters.0.text"),
        ({"to": "999700000002"}, "to"),
    ],
)
def test_no_text_and_no_phone_number_is_kept(values: dict[str, Any], name: str) -> None:
    finding = compare_send(message(sent=sent(**values)), VENDOR)
    assert finding.class_ is Class.DIFFERENT
    for side in (finding.sidecar, finding.php):
        assert side is not None
        assert " characters (" in side[name]
    kept = f"{finding.sidecar} {finding.php}"
    assert not any(word in kept for word in ("Ada", "Dear", "99970000000"))


def test_one_side_has_more() -> None:
    """What only one has is told of that one; a list that is empty is a value."""
    finding = compare_send(message(sent=sent(components=components()[:1])), VENDOR)
    assert finding.php == {"campaign": "c-1"}
    assert finding.sidecar is not None
    assert set(finding.sidecar) == {
        "campaign",
        *(f"components.1.{name}" for name in ("type", "sub_type", "index", "parameters")),
    }
    many = [{"type": "body", "parameters": [{"text": str(n)} for n in range(50)]}]
    finding = compare_send(message(sent=sent(components=many)), VENDOR)
    assert finding.php is not None
    assert len(finding.php) <= MAX_VALUES + 1
