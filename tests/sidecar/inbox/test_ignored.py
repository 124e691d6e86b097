"""Reasons of ignored updates are names, and few."""

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator.backend
from contracts.backend import UpdateKind
from sidecar.inbox.ignored import (
    HARMLESS,
    KNOWN,
    MAX_NAME,
    MAX_PAYLOAD_BYTES,
    OTHER,
    SLICE_S,
    SLICES,
    UNKNOWN_VENDORS,
    Ignored,
    label_of,
    name_of,
    parse,
    slices_until,
    words_of,
)


def ignored(**changed: object) -> Ignored:
    values: dict[str, object] = {
        "at": 7,
        "vendor_uid": "v",
        "update_id": "v/e/0/0",
        "kind": UpdateKind.MESSAGE,
        "wamid": "wamid.1",
        "reason": "own_number",
        "payload": b"{}",
    }
    return Ignored(**{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("own_number", "own_number"),
        ("The plan has expired.", "the_plan_has_expired"),
        (None, "no_reason"),
        ("", "no_reason"),
        ("\u0442\u0435\u043a\u0441\u0442", "no_reason"),
        ("nobody with 4915112345678", "nobody_with_number"),
        ("@own_number", "own_number"),
        ("x" * 200, "x" * MAX_NAME),
        ("SQLSTATE[22001] 1406 in contacts", "sqlstate_22001_1406_in_contacts"),
    ],
)
def test_reasons_are_named(reason: str | None, name: str) -> None:
    assert name_of(reason) == name


@given(st.text(max_size=300))
def test_any_reason_has_a_name(reason: str) -> None:
    name = name_of(reason)
    assert 0 < len(name) <= MAX_NAME
    assert name.isascii()
    assert name.replace("_", "a").isalnum()
    assert label_of(name) in {*KNOWN, OTHER}


def test_labels_are_few() -> None:
    assert label_of("own_number") == "own_number"
    assert label_of("nobody_has_heard_of_it") == OTHER
    assert {name_of(reason) for reason in KNOWN} == KNOWN
    assert {name_of(reason) for reason in HARMLESS} == HARMLESS


#: Of AIs' answers, which are no updates.
OF_ANSWERS = {"question_unknown", "stale"}


def test_the_reasons_of_our_php_sides_are_known() -> None:
    embedded = Path(simulator.backend.__file__).parent
    laravel = Path(__file__).parents[3] / "contracts" / "laravel" / "src"
    for folder, pattern in ((embedded, "*.py"), (laravel, "*.php")):
        text = "\n".join(path.read_text() for path in folder.rglob(pattern))
        found = set(re.findall(r"""\bignored\(['"](\w+)['"][),]""", text)) - OF_ANSWERS
        assert len(found) > 10
        assert found <= KNOWN, found - KNOWN


def test_what_is_kept_is_bounded_and_without_personal_data_in_its_reason() -> None:
    last = ignored(
        payload=b"\xff" + b"x" * 10_000, wamid="w" * 5000, reason="no contact 4915112345678"
    )
    found = parse(last.dump())
    assert found["payload"].startswith("\ufffdxxx")
    assert found["payload"].endswith("... (10001 bytes)")
    assert len(last.dump()) < MAX_PAYLOAD_BYTES + 1000
    assert found["reason"] == "no contact [number]"
    assert (found["at"], found["update"], found["kind"]) == (7, "v/e/0/0", "message")
    assert orjson.loads(ignored(payload=b'{"a":1}').dump())["payload"] == '{"a":1}'


def test_vendors_that_php_does_not_know_are_one() -> None:
    assert words_of("vendor_unknown", 1, 0, ignored())[4] == UNKNOWN_VENDORS
    assert words_of("own_number", 1, 0, ignored())[4] == "v"


def test_the_last_hour() -> None:
    slice_ms = SLICE_S * 1000
    assert SLICES * SLICE_S == 3600
    assert slices_until(10 * slice_ms + 5) == [f"ignored:at:{n}" for n in (10, 9, 8, 7, 6, 5)]
