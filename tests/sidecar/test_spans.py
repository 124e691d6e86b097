"""Spans are posted to a collector, or dropped and counted; nobody waits for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from sidecar import spans
from sidecar.metrics import METRICS, SPANS_EXPORTED
from sidecar.spans import (
    MAX_LINKS,
    MAX_WAITING,
    Ids,
    Span,
    SpanExporter,
    SpanKind,
    Spans,
    linked,
    links,
    make_exporter,
    named,
    new_span,
    since,
)
from tests.collector import Collector, collecting
from tests.eventually import eventually

IDS = Ids("a" * 32, "b" * 16)


def counted(result: str) -> float:
    return METRICS.counter(SPANS_EXPORTED, result).value


@pytest.fixture
def recorded() -> Spans:
    recorded = Spans()
    recorded.record(1.0)
    return recorded


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def exporter(collector: Collector, recorded: Spans) -> AsyncIterator[SpanExporter]:
    exporter = SpanExporter(collector.url, "serve", recorded)
    yield exporter
    await exporter.close()


def span(name: str = "send", **more: object) -> Span:
    return Span(name, IDS, 1, 2**62, **more)  # type: ignore[arg-type]


# -- which are recorded --


def test_nothing_while_it_is_off() -> None:
    off = Spans()
    assert not off.on
    assert off.ids_of("v/1-a/0") is None
    assert off.ids_of_all(["v/1-a/0"]) == []
    assert make_exporter(None, 1.0, "serve") is None
    assert not spans.SPANS.on


def test_who_knows_the_name_knows_the_ids() -> None:
    some, others = Spans(), Spans()
    some.record(0.1)
    others.record(0.1)
    names = [f"v/{number}-a/0" for number in range(10_000)]
    found = [some.ids_of(name) for name in names]
    assert found == [others.ids_of(name) for name in names]
    assert 800 < sum(ids is not None for ids in found) < 1200
    assert {ids for ids in found if ids} <= {named(name) for name in names}
    some.record(1.0)
    assert all(some.ids_of(name) == named(name) for name in names)
    assert [len(part) for part in named("x")] == [32, 16]
    assert len(new_span()) == 16


def test_a_span_links_to_so_many_and_to_each_once(recorded: Spans) -> None:
    names = [f"v/{number}" for number in range(2 * MAX_LINKS)]
    assert recorded.ids_of_all(names + names) == [named(name) for name in names[:MAX_LINKS]]
    assert links() == ()
    with linked([IDS]):
        assert links() == [IDS]
    assert links() == ()


def test_no_more_wait_than_there_is_room_for(recorded: Spans) -> None:
    before = counted("dropped")
    for _ in range(MAX_WAITING + 3):
        recorded.add(span())
    assert counted("dropped") - before == 3
    assert len(recorded.take(2 * MAX_WAITING)) == MAX_WAITING
    assert recorded.take(1) == []


def test_times() -> None:
    began, ended = since(1.5)
    assert ended - began == 1_500_000_000
    assert abs(time.time_ns() - ended) < 60e9


# -- posting them --


async def test_a_span_as_otlp_has_it(
    exporter: SpanExporter, recorded: Spans, collector: Collector
) -> None:
    before = counted("exported")
    facts = {"vendor": "v", "bytes": 5}
    link = Ids("c" * 32, "d" * 16)
    recorded.add(span(kind=SpanKind.CLIENT, parent="e" * 16, attributes=facts, links=[link]))
    recorded.add(span("php claim-messages", error="no answer"))
    await exporter.flush()
    await exporter.flush()
    [request] = collector.requests
    [resource] = request["resourceSpans"]
    known = {one["key"]: one["value"]["stringValue"] for one in resource["resource"]["attributes"]}
    assert known["service.name"] == "whatsapp-sidecar"
    first, second = collector.spans
    assert first == {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "parentSpanId": "e" * 16,
        "name": "send",
        "kind": 3,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": str(2**62),
        "attributes": [
            {"key": "vendor", "value": {"stringValue": "v"}},
            {"key": "bytes", "value": {"intValue": "5"}},
        ],
        "links": [{"traceId": "c" * 32, "spanId": "d" * 16}],
        "status": {},
    }
    assert (second["status"], second["kind"]) == ({"code": 2, "message": "no answer"}, 1)
    assert collector.types == {"application/json"}
    assert counted("exported") - before == 2


async def test_many_are_posted_in_parts(
    exporter: SpanExporter,
    recorded: Spans,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans, "BATCH", 2)
    monkeypatch.setattr(spans, "EVERY_S", 0.01)
    for number in range(5):
        recorded.add(span(str(number)))
    running = asyncio.create_task(exporter.run())
    await eventually(lambda: len(collector.spans) == 5)
    running.cancel()
    assert [one["name"] for one in collector.spans] == [*"01234"]
    assert len(collector.requests) == 3


@pytest.mark.parametrize("how", ["refuses", "is not there", "does not answer"])
async def test_what_the_collector_does_not_take_is_lost_and_said_once(
    how: str, collector: Collector, recorded: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(spans, "BATCH", 1)
    url = "http://127.0.0.1:9/v1/traces" if how == "is not there" else collector.url
    if how == "does not answer":
        collector.open.clear()
    collector.status = 503
    exporter, before = SpanExporter(url, "serve", recorded), counted("failed")
    with capture_logs() as logs:
        for _ in range(3):
            recorded.add(span())
        await exporter.flush()
        assert len(recorded.take(9)) == 2, "the others are for the next time"
        recorded.add(span())
        await exporter.flush()
    assert counted("failed") - before == 2
    assert [line["event"] for line in logs] == ["spans.not_exported"]
    assert collector.requests == []
    await exporter.close()


async def test_what_is_left_is_posted_at_the_end(collector: Collector) -> None:
    exporter = make_exporter(collector.url, 0.5, "worker")
    assert exporter is not None
    assert spans.SPANS.on
    spans.SPANS.add(span("last"))
    await exporter.close()
    assert [one["name"] for one in collector.spans] == ["last"]
    assert not spans.SPANS.on
