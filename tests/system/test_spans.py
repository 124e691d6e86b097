"""Traces of an installation: from a webhook to PHP, and from a claim to a message's statuses."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.control import lines, read
from simulator.demo import Demo
from simulator.embedded import EmbeddedInstallation
from tests.collector import Collector, Span, collecting
from tests.system.running import assert_complete, wait_for

MESSAGES = 20


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Demo]:
    """A campaign that was sent, and customers who wrote meanwhile; every span is recorded."""
    installation = EmbeddedInstallation(tmp_path_factory.mktemp("demo"))
    installation.configure(otlp_url=collector.url, otlp_share=1)
    demo = Demo(installation, messages=MESSAGES, rate=200.0)
    with pytest.MonkeyPatch.context() as patch, installation:
        patch.setattr("simulator.demo.WORKERS", ((),))  # one for all queues
        demo.start()
        demo.start_campaign(replies=5)
        assert_complete(demo)
        acknowledged = read(demo.cloud_api, "report")["webhooks"]["acknowledged"]
        wait_for(lambda: len(named(collector, "webhook")) >= acknowledged, "webhooks")
        sent = lines(demo.cloud_api, "messages")
        wait_for(lambda: all(last_is_told(collector, one) for one in sent), "the last statuses")
        wait_for(lambda: len(reported(collector)) == len(sent), "the last results")
        yield demo


def named(collector: Collector, beginning: str) -> list[Span]:
    return [span for span in collector.spans if span["name"].startswith(beginning)]


def last_is_told(collector: Collector, message: dict[str, Any]) -> bool:
    """Tell whether there is a span of a message's last status."""
    row, last = message["callback_data"], last_status(message)
    sends = [one for one in named(collector, "send") if attributes(one)["row"] == row]
    told = {span["traceId"] for span in named(collector, f"status {last}")}
    return bool(sends) and all(send["traceId"] in told for send in sends)


def last_status(message: dict[str, Any]) -> str:
    last: str = max(message["status_times"], key=["sent", "delivered", "read"].index)
    return last


def ids(span: Span) -> tuple[str, str]:
    return span["traceId"], span["spanId"]


def linked(span: Span) -> set[tuple[str, str]]:
    return {ids(link) for link in span["links"]}


def reported(collector: Collector) -> set[tuple[str, str]]:
    """Return the sends of whose results PHP was told."""
    return set().union(*map(linked, named(collector, "php update-message-status")))


def attributes(span: Span) -> dict[str, str]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_webhook_and_its_way_to_php(demo: Demo, collector: Collector) -> None:
    webhooks = {ids(span) for span in named(collector, "webhook")}
    calls = named(collector, "php process-webhooks")
    assert len(webhooks) >= 5
    assert all(linked(call) <= webhooks for call in calls)
    assert len(set().union(*map(linked, calls))) > MESSAGES
    for span in (*calls, *named(collector, "webhook")):
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["status"] == {}


def test_a_message_from_its_claim_to_its_statuses(demo: Demo, collector: Collector) -> None:
    sent = {truth["callback_data"]: truth for truth in lines(demo.cloud_api, "messages")}
    sends = {attributes(span)["row"]: span for span in named(collector, "send")}
    assert sent.keys() <= sends.keys()
    claims = {ids(span): linked(span) for span in named(collector, "claim")}
    webhooks = {ids(span) for span in named(collector, "webhook")}
    for row, send in sends.items():
        if not linked(send):
            continue  # a reply: nobody has claimed it
        [claim] = linked(send)
        assert ids(send) in claims[claim]
        assert ids(send) in reported(collector)
        statuses = [span for span in named(collector, "status") if span["traceId"] == ids(send)[0]]
        assert statuses
        for status in statuses:
            assert status["parentSpanId"] == send["spanId"]
            assert linked(status) <= webhooks
        assert f"status {last_status(sent[row])}" in {status["name"] for status in statuses}


def test_no_span_says_whom_it_is_about(demo: Demo, collector: Collector) -> None:
    told = str(collector.requests)
    # Some have no number.
    people = {truth.get("wa_id") for truth in lines(demo.cloud_api, "messages")}
    people |= {truth.get("from") for truth in lines(demo.cloud_api, "inbound")}
    assert not [number for number in people if number is not None and number in told]
