"""Broadcasting over a server that speaks Pusher's HTTP API."""

import hashlib
import hmac
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.effects import Broadcast
from sidecar.effects.outbound import Outbound
from tests.target import Hit, Target, json, target
from tests.workers.queued_effects import Counted, config, queued
from workers.effects.broadcast import LONGEST_PAUSE_S, Broadcasts
from workers.effects.handler import Again, Done, End, GivenUp
from workers.effects.pusher import Pusher

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"


@pytest.fixture
async def server() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@pytest.fixture
async def broadcasts() -> AsyncIterator[Broadcasts]:
    one = Broadcasts(Pusher(Outbound.anywhere(), timeout_s=5.0))
    yield one
    await one.close()


def known(url: str, app_id: str = "3") -> Any:
    return config(broadcaster={"url": url, "app_id": app_id, "key": KEY, "secret": SECRET})


def event(data: Any = None, *channels: str, **more: Any) -> Broadcast:
    return Broadcast(channels=list(channels) or ["vendor-1"], event="Sent", data=data, **more)


async def broadcast(one: Broadcasts, url: str, *effects: Broadcast) -> list[End]:
    return await one.do(known(url), [queued(e, id_=str(i)) for i, e in enumerate(effects)])


def assert_signed(hit: Hit) -> None:
    """Check a request as Pusher's reference describes it."""
    given = dict(hit.query)
    signature = given.pop("auth_signature")
    text = "&".join(f"{name}={given[name]}" for name in sorted(given))
    signed = f"POST\n{hit.path[hit.path.index('/apps') :]}\n{text}".encode()
    assert signature == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert given["auth_key"] == KEY
    assert given["auth_version"] == "1.0"
    assert given["body_md5"] == hashlib.md5(hit.body).hexdigest()
    assert abs(int(given["auth_timestamp"]) - time.time()) < 60


async def test_one_event(broadcasts: Broadcasts, server: Target) -> None:
    counted = Counted()
    assert await broadcast(broadcasts, server.url, event({"a": 1}, socket_id="1.2")) == [Done()]
    [hit] = server.hits
    assert hit.path == "/apps/3/events"
    assert hit.json == {
        "name": "Sent",
        "channels": ["vendor-1"],
        "data": '{"a":1}',
        "socket_id": "1.2",
    }
    assert_signed(hit)
    assert counted.since() == {("broadcast", "ok"): 1}


async def test_several_events_share_a_call(broadcasts: Broadcasts, server: Target) -> None:
    effects = [event({"n": n}, f"vendor-{n}") for n in range(10)]
    assert await broadcast(broadcasts, server.url, *effects) == [Done()] * 10
    [hit] = server.hits
    assert hit.path == "/apps/3/batch_events"
    assert hit.json == {
        "batch": [
            {"name": "Sent", "channel": f"vendor-{n}", "data": f'{{"n":{n}}}'} for n in range(10)
        ]
    }
    assert_signed(hit)


async def test_what_no_batch_can_hold_goes_alone(broadcasts: Broadcasts, server: Target) -> None:
    many = event("m", *(f"c{n}" for n in range(100)))
    large = event("x" * 10_241)
    effects = [event("a"), many, event("b"), large, event("c")]
    assert await broadcast(broadcasts, server.url, *effects) == [Done()] * 5
    assert sorted(hit.path.rpartition("/")[2] for hit in server.hits) == [
        "batch_events",
        "events",
        "events",
    ]
    alone = {hit.json["data"]: hit.json for hit in server.hits if "name" in hit.json}
    assert alone["m"]["channels"] == many.channels
    [together] = [hit.json["batch"] for hit in server.hits if "batch" in hit.json]
    assert [part["data"] for part in together] == ["a", "b", "c"]


@pytest.mark.parametrize("data", ["x" * 4000, '"' * 2000, "ü" * 2000])
async def test_a_batch_is_not_large(broadcasts: Broadcasts, server: Target, data: str) -> None:
    assert await broadcast(broadcasts, server.url, *[event(data)] * 10) == [Done()] * 10
    assert len(server.hits) == 5
    assert all(len(hit.body) <= 10_000 for hit in server.hits)


async def test_one_event_that_is_refused_does_not_take_the_others_along(
    broadcasts: Broadcasts, server: Target
) -> None:
    server.answer = lambda hit: 400 if b"bad" in hit.body else 200
    ends = await broadcast(broadcasts, server.url, event("a"), event("bad"), event("c"))
    assert [type(end) for end in ends] == [Done, GivenUp, Done]
    assert len(server.hits) == 4


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (200, Done),
        (202, Done),
        (400, GivenUp),
        (413, GivenUp),
        (422, GivenUp),
        (429, Again),
        (500, Again),
        (502, Again),
        (503, Again),
    ],
)
async def test_what_an_answer_means(
    broadcasts: Broadcasts, server: Target, status: int, end: type[End]
) -> None:
    server.answer = lambda _hit: status
    [found] = await broadcast(broadcasts, server.url, event())
    assert isinstance(found, end)
    if isinstance(found, Again):
        assert found.counts
        assert found.after_s is None


async def test_the_pause_that_is_asked_for(broadcasts: Broadcasts, server: Target) -> None:
    for asked, after_s in (("7", 7.0), ("600", LONGEST_PAUSE_S)):
        server.answer = json({}, 429, Retry_After=asked)
        ends = await broadcast(broadcasts, server.url, event("a"), event("b"))
        assert [end.after_s for end in ends if isinstance(end, Again)] == [after_s] * 2


@pytest.mark.parametrize("status", [301, 401, 403, 404, 410])
async def test_a_wrong_key_is_for_a_person(
    broadcasts: Broadcasts, server: Target, status: int
) -> None:
    server.answer = lambda _hit: status
    with capture_logs() as logs:
        for effects in ([event("a"), event("b")], [event("c")]):
            for end in await broadcast(broadcasts, server.url, *effects):
                assert isinstance(end, Again)
                assert not end.counts
                assert end.refused
                assert end.after_s
                assert str(status) in end.reason
        server.answer = lambda _hit: 200
        assert await broadcast(broadcasts, server.url, event("d")) == [Done()]
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("broadcast.refused", "error"),
        ("broadcast.accepted_again", "info"),
    ]
    assert SECRET not in str(logs)
    assert KEY not in str(logs)


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_that_knows_no_batches(
    broadcasts: Broadcasts, server: Target, status: int
) -> None:
    server.answer = lambda hit: status if hit.path.endswith("batch_events") else 200
    with capture_logs() as logs:
        for _ in range(2):
            ends = await broadcast(broadcasts, server.url, event("a"), event("b"))
            assert ends == [Done()] * 2
    assert [hit.path.rpartition("/")[2] for hit in server.hits] == ["batch_events"] + ["events"] * 4
    assert logs == []


async def test_a_server_that_is_ill_is_asked_once(broadcasts: Broadcasts, server: Target) -> None:
    server.then(200, 503)
    many = event("m", "a", "b")
    ends = await broadcast(
        broadcasts, server.url, many, event("a"), event("b"), event("c" * 11_000)
    )
    assert len(server.hits) == 2
    assert sum(isinstance(end, Done) for end in ends) == 1
    assert sum(isinstance(end, Again) for end in ends) == 3


async def test_nobody_listens_and_connections_break(broadcasts: Broadcasts, server: Target) -> None:
    server.answer = lambda _hit: "drop"
    counted = Counted()
    [end] = await broadcast(broadcasts, server.url, event())
    assert isinstance(end, Again)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        [end] = await broadcast(broadcasts, url, event())
    assert isinstance(end, Again)
    assert counted.since() == {("broadcast", "broke"): 1, ("broadcast", "no_connection"): 1}
    assert "auth_signature" not in end.reason


async def test_a_url_that_is_none(broadcasts: Broadcasts) -> None:
    [end] = await broadcast(broadcasts, "no url", event())
    assert isinstance(end, Again)
    assert not end.counts


async def test_a_server_below_a_path(broadcasts: Broadcasts, server: Target) -> None:
    """The path before /apps is not signed."""
    assert await broadcast(broadcasts, f"{server.url}/ws/", event()) == [Done()]
    [hit] = server.hits
    assert hit.path == "/ws/apps/3/events"
    assert_signed(hit)


async def test_connections_are_used_again(broadcasts: Broadcasts, server: Target) -> None:
    server.answer = json({})
    for _ in range(5):
        await broadcast(broadcasts, server.url, event())
    assert len(server.connections) == 1


async def test_there_is_no_server_any_more(broadcasts: Broadcasts) -> None:
    counted = Counted()
    with capture_logs() as logs:
        for _ in range(2):
            assert await broadcasts.do(config(), [queued(event())] * 2) == [Done()] * 2
    assert counted.since() == {("broadcast", "no_target"): 4}
    assert [log["event"] for log in logs] == ["broadcast.no_server"]


async def test_data_that_is_no_json(broadcasts: Broadcasts, server: Target) -> None:
    ends = await broadcast(broadcasts, server.url, event(2**70), event("b"))
    assert [type(end) for end in ends] == [GivenUp, Done]
