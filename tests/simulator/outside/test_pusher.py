"""The simulated Pusher, over real connections."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from simulator.pusher import Pusher, simulating_pusher
from simulator.pusher.signature import Signed, fault_of

EVENT = {"name": "changed", "channels": ["private-a", "b"], "data": '{"n": 1}'}


@pytest.fixture
async def pusher() -> AsyncIterator[Pusher]:
    async with simulating_pusher() as running:
        yield running


def _query(pusher: Pusher, path: str, body: bytes, **changes: str) -> dict[str, str]:
    query = {
        "auth_key": pusher.key,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body).hexdigest(),
        **changes,
    }
    text = "&".join(f"{name}={query[name]}" for name in sorted(query))
    signed = f"POST\n{path}\n{text}".encode()
    signature = hmac.digest(pusher.secret.encode(), signed, "sha256").hex()
    return {**query, "auth_signature": signature}


async def _post(
    client: aiohttp.ClientSession, pusher: Pusher, asked: Any, what: str = "events", **changes: str
) -> int:
    path = f"/apps/{pusher.app_id}/{what}"
    body = orjson.dumps(asked)
    query = {**_query(pusher, path, body), **changes}
    async with client.post(URL(pusher.url + path).with_query(query), data=body) as answer:
        await answer.read()
        return answer.status


def test_the_documented_example() -> None:
    """The worked example of Pusher's own documentation: these values give this signature."""
    body = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
    query = {
        "auth_key": "278d425bdf160c739803",
        "auth_timestamp": "1353088179",
        "auth_version": "1.0",
        "body_md5": "ec365a775a4cd0599faeb73354201b6f",
        "auth_signature": "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    }
    key, secret = "278d425bdf160c739803", "7ad3773142a6692b25b8"
    checked = (Signed("POST", "/apps/3/events", query, body), key, secret)
    assert fault_of(*checked, now=1353088179) is None
    assert fault_of(*checked, now=1353088179 + 601) is not None


async def test_an_event_is_kept(pusher: Pusher, client: aiohttp.ClientSession) -> None:
    assert await _post(client, pusher, {**EVENT, "socket_id": "12.34"}) == 200
    (event,) = pusher.events
    assert (event.channels, event.event, event.data) == (("private-a", "b"), "changed", '{"n": 1}')
    assert (event.socket_id, event.batch) == ("12.34", None)
    assert await _post(client, pusher, {"name": "e", "channel": "c", "data": ""}) == 200


async def test_batches(pusher: Pusher, client: aiohttp.ClientSession) -> None:
    one = {"name": "changed", "channel": "a", "data": "1"}
    assert await _post(client, pusher, {"batch": [one] * 10}, "batch_events") == 200
    assert await _post(client, pusher, {"batch": [one]}, "batch_events") == 200
    assert [event.batch for event in pusher.events] == [1] * 10 + [2]
    wrongs: list[Any] = [{"batch": [one] * 11}, {"batch": []}, {"batch": [EVENT]}, one, []]
    for wrong in wrongs:
        assert await _post(client, pusher, wrong, "batch_events") == 400
    assert len(pusher.events) == 11
    assert pusher.batches == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"auth_key": "other"},
        {"auth_version": "2.0"},
        {"auth_timestamp": "1353088179"},
        {"auth_timestamp": "now"},
        {"body_md5": "0" * 32},
        {"auth_signature": "0" * 64},
        {"more": "1"},
    ],
)
async def test_a_wrong_signature_is_refused(
    pusher: Pusher, client: aiohttp.ClientSession, changes: dict[str, str]
) -> None:
    assert await _post(client, pusher, EVENT, **changes) == 401
    assert pusher.events == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"channels": ["c"] * 100}, 200),
        ({"channels": ["c"] * 101}, 400),
        ({"channels": []}, 400),
        ({"channels": ["no blanks"]}, 400),
        ({"channels": ["c" * 201]}, 400),
        ({"name": "n" * 201}, 400),
        ({"name": ""}, 400),
        ({"data": "x" * 10_240}, 200),
        ({"data": "x" * 10_241}, 413),
        ({"data": "\u00e9" * 5_121}, 413),
        ({"data": {"n": 1}}, 400),
        ({"socket_id": "12"}, 400),
    ],
)
async def test_limits(
    pusher: Pusher, client: aiohttp.ClientSession, change: dict[str, Any], status: int
) -> None:
    assert await _post(client, pusher, {**EVENT, **change}) == status
    assert bool(pusher.events) is (status == 200)


async def test_another_app(pusher: Pusher, client: aiohttp.ClientSession) -> None:
    pusher.app_id = "other"
    body = orjson.dumps(EVENT)
    url = URL(f"{pusher.url}/apps/1001/events")
    query = _query(pusher, "/apps/1001/events", body)
    async with client.post(url.with_query(query), data=body) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("status", [401, 403, 413, 429, 500])
async def test_it_fails(pusher: Pusher, client: aiohttp.ClientSession, status: int) -> None:
    pusher.faults.add("status", status=status, times=1)
    assert [await _post(client, pusher, EVENT) for _ in range(2)] == [status, 200]
    assert len(pusher.events) == 1
    async with client.get(f"{pusher.url}/_simulator/report") as answer:
        report = await answer.json()
    assert report["answers"] == {str(status): 1, "200": 1}
    assert (report["events"], report["batches"]) == (1, 0)
