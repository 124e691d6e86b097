"""Logs: one object a line, and what goes wrong over and over once."""

import subprocess
import sys
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from sidecar.logs import LogOnce

#: In a process of its own: setting logging up is for good.
SCRIPT = """
import logging, sys
import structlog
from sidecar import logs
logs.configure({level!r}, {form!r}, "serve")
log = structlog.get_logger()
{body}
"""


def logged(body: str, *, level: str = "info", form: str = "json") -> list[str]:
    """Return the lines that a process has logged."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(level=level, form=form, body=body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout == ""
    return run.stderr.splitlines()


def parsed(body: str, **options: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in logged(body, **options)]


def test_one_object_a_line() -> None:
    [line] = parsed("log.info('started', vendor='v', text='a\\nb', size=5, path=sys, odd={1: 2})")
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("path").startswith("<module 'sys'")
    assert line == {
        "event": "started",
        "level": "info",
        "process": "serve",
        "vendor": "v",
        "text": "a\nb",
        "size": 5,
        "odd": {"1": 2},
    }


def test_what_libraries_log_looks_alike() -> None:
    lines = parsed("logging.getLogger('uvicorn.error').warning('slow %s', 'loop')")
    [line] = lines
    assert line["event"] == "slow loop"
    assert line["level"] == "warning"
    assert line["process"] == "serve"
    assert "timestamp" in line


def test_an_error_stands_in_its_line() -> None:
    body = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')"
    [line] = parsed(body)
    assert line["level"] == "error"
    assert "ZeroDivisionError: division by zero" in line["exception"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(level: str, shown: list[str]) -> None:
    body = "\n".join(
        f"log.{name}('ours')\nlogging.getLogger('lib').{name}('theirs')"
        for name in ("debug", "info", "warning", "error")
    )
    lines = parsed(body, level=level)
    for event in ("ours", "theirs"):
        assert [line["level"] for line in lines if line["event"] == event] == shown


def test_what_is_noisy_is_kept_down() -> None:
    body = (
        "logging.getLogger('dramatiq.broker').info('enqueued')\n"
        "logging.getLogger('asyncio').info('using selector')\n"
        "logging.getLogger('httpx').info('HTTP Request: OPTIONS')\n"
        "logging.getLogger('dramatiq.broker').warning('lost')"
    )
    assert [line["event"] for line in parsed(body, level="debug")] == ["lost"]
    assert parsed(body, level="error") == []


def test_for_people() -> None:
    [line] = logged("log.warning('lease.lost', lease='drain:messages')", form="console")
    assert "lease.lost" in line
    assert "lease=drain:messages" in line
    assert "process=serve" in line
    assert "\x1b" not in line


# -- outages -------------------------------------------------------------------------------------


def test_an_outage_is_logged_once_and_once_more_when_it_is_over() -> None:
    with capture_logs() as logs:
        log_once = LogOnce("php_down", lane="messages")
        log_once.worked()
        for _ in range(1000):
            log_once.failed("no answer in time")
        log_once.worked()
        log_once.worked()
    assert logs == [
        {
            "event": "php_down",
            "lane": "messages",
            "log_level": "warning",
            "reason": "no answer in time",
            "times": 1,
        },
        {
            "event": "php_down.resolved",
            "lane": "messages",
            "log_level": "info",
            "reason": "no answer in time",
            "times": 1000,
        },
    ]


def test_another_reason_is_told_too() -> None:
    with capture_logs() as logs:
        log_once = LogOnce("php_down")
        for reason in ("refused", "refused", "500", "500", "refused"):
            log_once.failed(reason)
    assert [(line["reason"], line["times"]) for line in logs] == [
        ("refused", 1),
        ("500", 3),
        ("refused", 5),
    ]


def test_the_next_outage_is_logged_again() -> None:
    with capture_logs() as logs:
        log_once = LogOnce("php_down")
        for _ in range(2):
            log_once.failed("refused")
            log_once.worked()
    assert [line["times"] for line in logs] == [1, 1, 1, 1]


# -- what cannot be logged --

HOSTILE = """
class Bad:
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__
deep = []
for _ in range(100_000): deep = [deep]
loop = {}
loop["loop"] = loop
values = {
    "half": "a\\ud800b", "huge": 10**30, "immense": 10**9000, "inf": float("inf"),
    "bytes": b"\\xff", "bad": Bad(), "deep": deep, "loop": loop,
    "long": "x" * 100_000, "many": list(range(100_000)),
    "keys": {"\\ud800": 1, 7: 2, (1, 2): 3, Bad: 4}, "set": {1}, "none": None,
}
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_anything_can_be_logged(form: str) -> None:
    body = HOSTILE + "log.warning('odd', **values)\nlog.info('after')"
    lines = logged(body, form=form)
    assert len(lines) == 2
    assert "Logging error" not in "".join(lines)
    assert "odd" in lines[0]
    assert "after" in lines[1]
    assert len(lines[0]) < 30_000


def test_what_is_left_of_it() -> None:
    [line] = parsed(HOSTILE + "log.warning('odd', **values)")
    assert line["half"] == "a\\ud800b"
    assert line["huge"] == str(10**30)
    assert line["inf"] is None
    assert line["none"] is None
    assert len(line["long"]) < 2_100
    assert line["long"].startswith("xxx")
    assert line["long"].endswith(" characters)")
    assert len(line["many"]) <= 101
    assert line["level"] == "warning"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "body",
    [
        "logging.getLogger('x').warning('%s', Bad())",
        "logging.getLogger('x').warning('%d', 'no number')",
        "logging.getLogger('x').warning('%s %s', 'one')",
        "logging.getLogger('x').warning('half \\ud800')",
        "logging.getLogger('x').warning(deep)",
        "log.warning(Bad())",
        "log.warning('odd', **{'event_' + 'x' * 9999: 1})",
    ],
)
def test_what_libraries_log_badly(form: str, body: str) -> None:
    lines = logged(HOSTILE + body + "\nlog.info('after')", form=form)
    assert len(lines) == 2
    assert "Logging error" not in "".join(lines)
    assert "after" in lines[1]


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_of_any_text(form: str) -> None:
    body = (
        HOSTILE
        + """
try: raise ValueError("half \\ud800" + "y" * 100_000, Bad)
except ValueError: log.exception("failed")
class Odd(Exception):
    def __str__(self): raise RuntimeError("no")
try: raise Odd()
except Odd: log.exception("failed too")
def f(n): return f(n + 1)
try: f(0)
except RecursionError: log.exception("recursion")
log.info("after")
"""
    )
    text = "\n".join(logged(body, form=form))
    assert "Logging error" not in text
    assert "ValueError" in text
    assert "Odd" in text
    assert "RecursionError" in text
    assert "after" in text
    assert len(text) < 60_000
