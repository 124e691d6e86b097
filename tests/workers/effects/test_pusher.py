"""Pusher's HTTP API: what is called, and how it is signed."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.effects import Broadcast, Broadcaster
from sidecar.effects.outbound import Outbound
from tests.target import Target, target
from workers.effects.pusher import MAX_DATA_BYTES, Event, Pusher, signed_query

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"


@pytest.fixture
async def server() -> AsyncIterator[Target]:
    async with target() as one:
        yield one


@pytest.fixture
async def pusher() -> AsyncIterator[Pusher]:
    one = Pusher(Outbound.anywhere(), timeout_s=5.0)
    yield one
    await one.close()


def broadcaster(url: str) -> Broadcaster:
    return Broadcaster(url=url, app_id="3", key=KEY, secret=SECRET)


def test_the_example_of_the_reference() -> None:
    body = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
    assert signed_query(broadcaster("http://x"), "/apps/3/events", body, 1353088179) == (
        "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0"
        "&body_md5=ec365a775a4cd0599faeb73354201b6f"
        "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
        ("as it is", "as it is"),
        ("", ""),
        (None, "null"),
        ([], "[]"),
        (5, "5"),
    ],
)
def test_data_is_text(data: Any, text: str) -> None:
    assert Event.of(Broadcast(channels=["a"], event="e", data=data)).data == text


def test_data_that_is_no_json() -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        Event.of(Broadcast(channels=["a"], event="e", data=2**70))


@pytest.mark.parametrize(
    ("channels", "data", "fits"),
    [
        (["a"], "x" * MAX_DATA_BYTES, True),
        (["a"], "x" * (MAX_DATA_BYTES + 1), False),
        (["a"], "ü" * (MAX_DATA_BYTES // 2 + 1), False),
        (["a", "b"], "", False),
    ],
)
def test_what_fits_a_batch(channels: list[str], data: str, fits: bool) -> None:
    assert Event("e", channels, data).fits_a_batch is fits


def test_one_alone_has_channels_and_one_of_many_has_one() -> None:
    event = Event("e", ["a"], "d", socket_id="1.2")
    assert event.as_one() == {"name": "e", "channels": ["a"], "data": "d", "socket_id": "1.2"}
    assert event.as_part() == {"name": "e", "channel": "a", "data": "d", "socket_id": "1.2"}
    assert "socket_id" not in Event("e", ["a"], "d").as_one()


@pytest.mark.parametrize(
    ("below", "path"),
    [("", "/apps/3"), ("/ws/", "/ws/apps/3")],
    ids=["at the root", "below a path"],
)
async def test_calls_are_signed(server: Target, pusher: Pusher, below: str, path: str) -> None:
    """The path before /apps is not."""
    to, event = broadcaster(server.url + below), Event("e", ["a"], "d")
    await pusher.trigger(to, event)
    await pusher.trigger_batch(to, [event, event])
    one, batch = server.hits
    assert (one.path, batch.path) == (f"{path}/events", f"{path}/batch_events")
    assert one.json == event.as_one()
    assert batch.json == {"batch": [event.as_part()] * 2}
    for hit in server.hits:
        given = dict(hit.query)
        signature = given.pop("auth_signature")
        text = "&".join(f"{name}={given[name]}" for name in sorted(given))
        signed = f"POST\n{hit.path[hit.path.index('/apps') :]}\n{text}".encode()
        assert signature == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert given["body_md5"] == hashlib.md5(hit.body).hexdigest()
        assert abs(int(given["auth_timestamp"]) - time.time()) < 60
