"""Calls to PHP belong to the trace of the work that makes them."""

import asyncio
import re

import pytest
from structlog.contextvars import get_contextvars

from sidecar.trace import id_of, traceparent, tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_each_call_has_a_span_of_its_own() -> None:
    with tracing():
        one, other = traceparent(), traceparent()
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", one)
    assert one[:36] == other[:36]
    assert one != other


def test_outside_of_any_work_a_call_is_a_trace_of_its_own() -> None:
    assert traceparent()[:36] != traceparent()[:36]


def test_what_has_a_name_has_the_same_trace_everywhere() -> None:
    with tracing(of="campaign-1"):
        assert traceparent().split("-")[1] == id_of("campaign-1") != id_of("campaign-2")


def test_a_callers_trace_goes_on() -> None:
    with tracing(PARENT):
        assert traceparent().startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
        assert "00f067aa0ba902b7" not in traceparent()


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        f"{PARENT}\r\nX-Evil: 1",
    ],
)
def test_what_is_no_trace_is_not_continued(parent: str | None) -> None:
    with tracing(parent):
        assert "4bf92f3577b34da6a3ce929d0e0e4736" not in traceparent()


async def test_the_log_names_it_inside_and_in_tasks_and_not_afterwards() -> None:
    async def inner() -> tuple[str, object]:
        return traceparent().split("-")[1], get_contextvars().get("trace")

    with tracing(of="x"):
        called, logged = await asyncio.create_task(inner())
    assert called == logged == id_of("x")
    assert "trace" not in get_contextvars()
    assert traceparent().split("-")[1] != id_of("x")
