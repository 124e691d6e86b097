"""The overview: what is wrong, and that its figures are true."""

import re
import time
from typing import Any

import httpx
import pytest

from contracts.console import Role
from contracts.effects import EffectKind
from contracts.jobs import Lane, Queue
from sidecar.console.pages import overview
from sidecar.console.templates import page_names
from sidecar.metrics import (
    BACKEND_REQUESTS,
    HANDOVER_SECONDS,
    SEND_CALLS,
    WEBHOOKS,
    MetricsRegistry,
)
from sidecar.ops.problem import Code, Problem
from sidecar.ops.publisher import Telemetry
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.numbers import NumberState, Outage
from tests.sidecar.answering_php import Php
from tests.sidecar.console.browser import Browser
from tests.sidecar.console.conftest import MakeBrowser
from tests.sidecar.ops.sending import number_state
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR


def tiles(page: str) -> dict[str, tuple[str, str]]:
    """Return the figures by their names: the number, and what stands below it."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>(?:<dd class=\"small\">(.*?)</dd>)?", page)
    return {name: (value, small) for name, value, small in found}


async def live(redis: Redis, role: str, *queues: str, **facts: Any) -> Telemetry:
    """Have a process that lives."""
    told = {"queues": list(queues), "leases": [], "breakers": {}, **facts}
    telemetry = Telemetry(redis, role, lambda: told, MetricsRegistry())
    await telemetry.publish()
    return telemetry


async def test_all_is_well(operator: Browser, redis: Redis, php: Php) -> None:
    await live(redis, "worker", *Queue)
    page = await operator.page("/")
    assert "All is well." in page
    assert ">available</span>" in page
    assert ">balanced</span>" in page
    assert "no number was used in the last 24 hours" in page
    assert "Effects" not in page


async def test_what_is_wrong_stands_first_with_what_to_do(operator: Browser) -> None:
    page = await operator.page("/")
    [problem] = re.findall(r'<ol class="problems">.*?</ol>', page, re.DOTALL)
    assert page.index("1 problem") < page.index("<h2>Now</h2>")
    assert "worker-not-running" in problem
    is_there = "processes" in page_names()
    assert ('href="/sidecar/processes"' in problem) is is_there


async def test_of_many_problems_some_are_shown(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MAX_PROBLEMS", 2)
    for vendor in ("v", "w", "x"):
        await redis.sadd(keys.VENDORS, vendor)
        await redis.hset(keys.counters(vendor), mapping={"webhooks_received": 5})
    page = await operator.page("/")
    assert "4 problems</h2>" in page
    assert page.count("accounting-unbalanced") + page.count("worker-not-running") == 2
    assert "and 2 more:" in page
    async with operator.events("/overview/live") as events:
        assert "and 2 more:" in (await events.take(4))["problems"]


async def count(redis: Redis) -> None:
    """Have another process count something of everything."""
    metrics = MetricsRegistry()
    telemetry = Telemetry(redis, "serve", metrics=metrics)
    metrics.counter(WEBHOOKS, "acknowledged").add(1200)
    metrics.counter(WEBHOOKS, "proxied").add(34)
    metrics.counter(WEBHOOKS, "too_large").add(5)
    metrics.counter(SEND_CALLS, "accepted", "").add(77)
    metrics.counter(SEND_CALLS, "throttled", "130429").add(2)
    metrics.counter(BACKEND_REQUESTS, "send-results", "timedout").add(3)
    metrics.histogram(HANDOVER_SECONDS, "messages").observe(0.02, 99)
    metrics.histogram(HANDOVER_SECONDS, "messages").observe(4.0, 1)
    await telemetry.publish()


async def test_figures_are_what_was_counted(operator: Browser, redis: Redis) -> None:
    await count(redis)
    for number in range(3):
        inbox = operator.app.state.inbox
        await inbox.put(Lane.MESSAGES, VENDOR, b"", message_webhook(number))
    found = tiles(await operator.page("/"))
    assert found["Webhooks taken"] == ("–", "1,234 in all")
    assert found["Webhooks refused"] == ("–", "5 in all")
    assert found["Messages sent"] == ("–", "77 in all")
    assert found["Sends not accepted"] == ("–", "2 in all")
    assert found["PHP&#39;s failures"] == ("–", "3 in all")
    assert found["Inbox, messages"][0] == "3"
    assert found["Inbox, messages"][1].startswith("oldest for ")
    assert found["Inbox, statuses"] == ("0", "empty")
    assert found["Dead letters"] == ("0", "none")


async def test_what_waits_for_a_retry_is_said_also_of_an_empty_inbox(
    operator: Browser, redis: Redis
) -> None:
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"v/1": 5})
    await redis.zadd(keys.deferred(Lane.STATUSES), {"v/1": 5, "v/2": 6})
    await operator.app.state.inbox.put(Lane.STATUSES, VENDOR, b"", status_webhook())
    found = tiles(await operator.page("/"))
    assert found["Inbox, messages"] == ("0", "1 contact waits for a retry")
    assert re.fullmatch(r"oldest for .*; 2 messages wait for a retry", found["Inbox, statuses"][1])


async def test_what_follows_from_one_cause_stands_below_it(
    make_browser: MakeBrowser, redis: Redis
) -> None:
    await live(redis, "worker", *Queue, breakers={"messages": "no answer", "statuses": "none"})
    operator = await (await make_browser(backend_url="http://127.0.0.1:9")).sign_in(Role.OPERATE)
    page = await operator.page("/")
    assert "1 problem</h2>" in page
    [first, *following] = re.findall(r'badge \w+">([a-z-]+)</span>', page)[:3]
    assert (first, following) == ("php-unavailable", ["php-breaker-open"] * 2)
    assert "PHP does not accept statuses: none" in page


async def test_figures_are_those_of_the_metrics(operator: Browser, redis: Redis) -> None:
    await count(redis)
    inbox = operator.app.state.inbox
    await inbox.put(Lane.STATUSES, VENDOR, b"", status_webhook())
    text = (await operator.client.get("/metrics")).text
    found = {
        name: float(small.split()[0].replace(",", "")) if "in all" in small else float(value)
        for name, (value, small) in tiles(await operator.page("/")).items()
        if "in all" in small or name.startswith(("Inbox", "Dead"))
    }

    def metric(name: str, *labels: str, without: tuple[str, ...] = ()) -> float:
        lines = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return sum(
            float(value)
            for of, value in lines
            if (not labels or any(f'"{label}"' in of for label in labels))
            and not any(f'"{label}"' in of for label in without)
        )

    taken = ("acknowledged", "proxied", "kept")
    assert found == {
        "Webhooks taken": metric("sidecar_webhooks_total", *taken),
        "Webhooks refused": metric("sidecar_webhooks_total", without=taken),
        "Messages sent": metric("sidecar_send_calls_total", "accepted"),
        "Sends not accepted": metric("sidecar_send_calls_total", without=("accepted",)),
        "PHP&#39;s failures": metric("sidecar_backend_requests_total", without=("ok", "refused")),
        "Inbox, messages": metric("sidecar_inbox_webhooks", "messages"),
        "Inbox, statuses": metric("sidecar_inbox_webhooks", "statuses"),
        "Dead letters": metric("sidecar_dead_letters"),
    }
    assert found["Inbox, statuses"] == 1


async def test_receipt_to_php(
    operator: Browser, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    await operator.page("/")
    monkeypatch.setattr("time.monotonic", lambda: now + 8)
    await count(redis)
    found = tiles(await operator.page("/"))
    assert found["Webhooks taken"][0].endswith("/s")
    value, small = found["Receipt to PHP, messages"]
    assert re.fullmatch(r"1\d ms", value)
    assert re.fullmatch(r"p95 2\d ms, p99 2\d ms", small)


@pytest.mark.parametrize(
    ("reached", "numbers", "said"),
    [
        ({}, [number_state("1")], "no outage</span> 1 number was used in the last 24 hours"),
        ({}, [number_state("1"), number_state("2")], "no outage</span> 2 numbers were used"),
        (
            {},
            [number_state("1"), number_state("2", outage=Outage("HTTP 503", 0.0))],
            "for 1 of 2 numbers: HTTP 503",
        ),
    ],
)
async def test_the_cloud_apis_breaker(
    operator: Browser,
    monkeypatch: pytest.MonkeyPatch,
    reached: dict[str, str],
    numbers: list[NumberState],
    said: str,
) -> None:
    async def found(redis: Redis) -> list[NumberState]:
        return numbers

    monkeypatch.setattr("sidecar.ops.report.read_numbers", found)
    assert said in await operator.page("/")


async def test_phps_breaker(operator: Browser, redis: Redis) -> None:
    await live(
        redis,
        "worker",
        *Queue,
        breakers={"messages": "timed out <twice>"},
        isolated={"messages": {VENDOR: "HTTP 500"}},
    )
    page = " ".join((await operator.page("/")).split())
    assert "breaker open</span> messages: timed out &lt;twice&gt;;" in page
    assert "1 vendor isolated" in page


async def test_php_is_away(make_browser: MakeBrowser, redis: Redis) -> None:
    browser = await make_browser(backend_url="http://127.0.0.1:9")
    await browser.sign_in(Role.LOOK)
    page = await browser.page("/")
    assert ">unavailable</span>" in page
    assert "php-unavailable" in page


async def test_effects_that_wait(operator: Browser, redis: Redis) -> None:
    await redis.sadd(keys.outbox(EffectKind.FORWARD), VENDOR)
    await redis.zadd(keys.outbox_of(EffectKind.FORWARD, VENDOR), {"1": 1})
    page = await operator.page("/")
    assert "<h2>Effects</h2>" in page
    assert '<th scope="row">forward</th><td class="number">1</td>' in page


def test_problems_lead_to_the_page_that_helps() -> None:
    codes = [code for codes in overview.HELP.values() for code in codes]
    assert len(codes) == len(set(codes))
    rest = set(Code) - set(codes)
    assert {code.value.split("-")[0] for code in rest} <= {
        *("redis", "dramatiq", "public", "php", "effects", "notifications")
    }


async def test_what_refers_to_status_refers_to_pages(
    operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = "NUMBERS below says why, and CAMPAIGNS below; EFFECTS below too."
    problem = Problem(Code.EFFECTS_FAILING, "It fails", do)
    monkeypatch.setattr(overview, "problems", lambda *arguments: [problem])
    page = await operator.page("/")
    assert "the page Numbers says why, and the page Campaigns; EFFECTS below too." in page


async def test_charts_of_the_hour_and_the_day(operator: Browser) -> None:
    for path, shown in (("/", "Last hour"), ("/?span=day", "Last day"), ("/?span=x", "Last hour")):
        page = await operator.page(path)
        assert re.search(rf'aria-current="true">{shown}</a>', page), path
        assert page.count('<figure class="chart">') == 7
        assert "nothing is known of this time" in page


async def test_it_is_live(operator: Browser, redis: Redis) -> None:
    page = await operator.page("/?span=day")
    assert 'data-live="/sidecar/overview/live?span=day"' in page
    async with operator.events("/overview/live?span=day") as events:
        found = await events.take(4)
    assert set(found) == {"problems", "figures", "effects", "charts"}
    for name, content in found.items():
        assert re.search(rf'id="{name}"[^>]* data-fragment>', page)
        assert content.count("<") == content.count(">")
    assert "worker-not-running" in found["problems"]
    assert found["charts"].count("<figure") == 7


async def test_all_who_look_share_what_is_read(
    operator: Browser, viewer: Browser, monkeypatch: pytest.MonkeyPatch, php: Php
) -> None:
    for browser in (operator, viewer, operator):
        assert isinstance(await browser.get("/"), httpx.Response)
    asked = len(php.asked("/internal/modes"))
    assert asked == 1
