"""PHP's versions, limits and keys, and its way to the sidecar."""

from typing import Any

import pytest

from contracts.diagnosis import CallBack, DatabaseFacts, DiagnosisAnswer, PhpFacts
from contracts.sidecar_api import PingAnswer
from sidecar.commands.checks.line import Line
from sidecar.commands.checks.php import judge_call_back, judge_php
from sidecar.version import VERSION
from tests.sidecar.commands.checks.lines import levels, named

MB = 1024**2
PHP: dict[str, Any] = {
    "package": VERSION,
    "php": "8.2.36",
    "laravel": "10.48.0",
    "post_max_bytes": 32 * MB,
    "memory_limit_bytes": 128 * MB,
    "signing_key_ids": ["first"],
    "signing_window_s": 300,
    "sidecar_url": "http://127.0.0.1:8600",
}
DATABASE: dict[str, Any] = {
    "product": "mariadb",
    "version": "10.11.14-MariaDB",
    "now": 0,
    "max_allowed_packet_bytes": 16 * MB,
}


def judge(
    php: dict[str, Any] | None = None,
    database: dict[str, Any] | None = None,
    keys: tuple[str, ...] = ("first",),
    **more: Any,
) -> list[Line]:
    answer = DiagnosisAnswer(
        now=0,
        php=PhpFacts(**{**PHP, **(php or {})}),
        database=DatabaseFacts(**{**DATABASE, **(database or {})}),
        tables=[],
        **more,
    )
    return list(judge_php(answer, keys))


def test_all_is_well() -> None:
    assert levels(judge()) == dict.fromkeys(
        [
            "php package",
            "php",
            "laravel",
            "database (mariadb)",
            "php post_max_size",
            "php memory_limit",
            "database max_allowed_packet",
            "signing keys",
        ],
        "OK",
    )


@pytest.mark.parametrize(
    ("what", "level", "php"),
    [
        ("php package", "WARN", {"package": "9.0.0"}),
        ("php package", "OK", {"package": f"{VERSION.rpartition('.')[0]}.99"}),
        ("php package", "OK", {"package": "embedded"}),
        ("php", "FAIL", {"php": "7.4.33"}),
        ("php", "OK", {"php": "8.0.0"}),
        ("php", "WARN", {"php": "9.0.0"}),
        ("laravel", "FAIL", {"laravel": "8.75.0"}),
        ("laravel", "OK", {"laravel": "13.31.0"}),
        ("laravel", "WARN", {"laravel": "14.0.0"}),
        ("laravel", "FAIL", {"laravel": None}),
        ("php post_max_size", "WARN", {"post_max_bytes": 8 * MB}),
        ("php memory_limit", "WARN", {"memory_limit_bytes": 64 * MB}),
    ],
)
def test_php(what: str, level: str, php: dict[str, Any]) -> None:
    assert levels(judge(php))[what] == level


def test_no_limit_is_none_too_low() -> None:
    found = levels(judge({"post_max_bytes": None, "memory_limit_bytes": None}))
    assert not {"php post_max_size", "php memory_limit"} & found.keys()


@pytest.mark.parametrize(
    ("level", "database"),
    [
        ("FAIL", {"version": "10.5.29-MariaDB"}),
        ("FAIL", {"product": "mysql", "version": "5.7.44"}),
        ("FAIL", {"product": "mysql", "version": "8.0.29-0ubuntu0.20.04.2"}),
        ("WARN", {"product": "mysql", "version": "8.0.30"}),
        ("WARN", {"product": "postgresql", "version": "17"}),
    ],
)
def test_the_database(level: str, database: dict[str, Any]) -> None:
    product = database.get("product", "mariadb")
    assert levels(judge(None, database))[f"database ({product})"] == level


def test_what_was_never_tested_is_said_with_what_was() -> None:
    line = named(judge(None, {"product": "mysql", "version": "8.4.3"}), "database (mysql)")
    assert line.text == (
        "WARN  database (mysql): is 8.4.3, which was never tested: 9.7 was; try the migration on a"
        " copy of your installation first"
    )


def test_a_packet_that_is_too_small() -> None:
    found = levels(judge(None, {"max_allowed_packet_bytes": MB}))
    assert found["database max_allowed_packet"] == "WARN"


@pytest.mark.parametrize(
    ("theirs", "ours", "level"),
    [
        (["first", "second"], ("first", "second"), "OK"),
        (["first"], ("second", "first"), "WARN"),
        (["first", "second"], ("first",), "WARN"),
        (["second", "first"], ("first",), "FAIL"),
    ],
)
def test_keys(theirs: list[str], ours: tuple[str, ...], level: str) -> None:
    assert levels(judge({"signing_key_ids": theirs}, keys=ours))["signing keys"] == level


def test_statements_that_failed() -> None:
    line = named(judge(errors=["no such table"]), "php's statements")
    assert (line.level, line.detail) == ("FAIL", "no such table")


@pytest.mark.parametrize(
    ("level", "says", "found"),
    [
        ("WARN", "did not try", None),
        (
            "FAIL",
            "compare WHATSAPP_SIDECAR_KEYS",
            {"status": 401, "code": "key_unknown", "error": "no"},
        ),
        ("FAIL", "cannot reach", {"error": "connection refused"}),
        ("FAIL", "another Redis", {"status": 200, "known": False}),
        ("OK", "in 7 ms", {"status": 200, "known": True}),
    ],
)
def test_the_way_to_the_sidecar(level: str, says: str, found: dict[str, Any] | None) -> None:
    call_back = None
    if found is not None:
        known = found.pop("known", None)
        answer = None if known is None else PingAnswer(version=VERSION, now=0, known=known)
        call_back = CallBack(took_ms=7, answer=answer, **found)
    line = judge_call_back(call_back, PhpFacts(**PHP))
    assert (line.what, line.level) == ("php to sidecar", level)
    assert says in line.text
    assert level == "WARN" or "http://127.0.0.1:8600" in line.text
