"""Reading what is left: by the names and shapes that the sidecar and the workers use."""

import asyncio
import base64
import os
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis as blocking

from contracts.jobs import Lane
from sidecar.redis import keys
from sidecar.redis.client import Redis
from simulator.chaos.evidence import (
    Update,
    balance_differences,
    read_redis,
    stored_webhook,
    updates_of,
)
from simulator.processes import python
from tests import trust
from tests.workers import payloads


async def status_of(redis_url: str) -> dict[str, Any]:
    """Return what the command prints."""
    installation = {
        "SIDECAR_REDIS_URL": redis_url,
        "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_APP_SECRETS": trust.APP_SECRET,
    }
    command = await asyncio.create_subprocess_exec(
        *python("sidecar.commands.main", "status", "--json"),
        env=os.environ | installation,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await command.communicate()
    answer: dict[str, Any] = orjson.loads(output)
    return answer


@pytest.fixture
def client(redis_url: str) -> Iterator["blocking.Redis"]:
    with blocking.Redis.from_url(redis_url) as client:
        yield client


def test_nothing_left(client: "blocking.Redis") -> None:
    assert read_redis(client).empty


async def test_everything_that_can_be_left(redis: Redis, client: "blocking.Redis") -> None:
    await redis.xadd(keys.inbox(Lane.STATUSES, "vendor"), {b"a": b"b"})
    await redis.zadd(keys.deferred(Lane.MESSAGES), {"vendor/1": 1})
    await redis.rpush(keys.deferred_updates(Lane.MESSAGES, "vendor/1"), b"1", b"2")
    await redis.hset(keys.claims("c"), "claim", 1)
    await redis.hset(keys.CAMPAIGNS, "c", "vendor")
    await redis.hset(keys.ledger("c"), "row", "s:claim:number")
    dead = payloads.make_update(wamid="wamid.1").dump()
    letter = orjson.dumps({"lane": "messages", "update": orjson.Fragment(dead)})
    await redis.hset(keys.dead_letters("vendor"), "1", letter)
    found = read_redis(client)
    assert sorted(found.waiting) == [
        "campaigns c",
        "claims:c",
        "deferred:messages:vendor/1",
        "deferred:messages:vendor/1",
        "inbox:statuses:vendor",
    ]
    assert found.ledgers == {"row": "s:claim:number"}
    assert found.dead == {"wamid.1"}
    assert not found.empty


WEBHOOK = b'{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"id":"w%s"}]}}]}]}'


@pytest.mark.parametrize(
    "payload",
    [
        WEBHOOK.decode(),
        orjson.dumps("\ufeff" + WEBHOOK.decode()).decode(),
        orjson.dumps(base64.b64encode(WEBHOOK.replace(b"%s", b"\xff")).decode()).decode(),
    ],
    ids=["as it came", "with a mark", "no UTF-8"],
)
def test_a_webhook_as_php_has_stored_it(payload: str) -> None:
    [update] = updates_of(stored_webhook(payload))
    assert update.wamid in ("w%s", "w\ufffd")


def test_a_webhook_that_is_no_json() -> None:
    stored = orjson.dumps('{"entry": NaN}').decode()
    assert list(updates_of(stored_webhook(stored))) == []


def test_updates_of_a_webhook() -> None:
    statuses = [payloads.status("wamid.1", "sent"), payloads.status("wamid.1", "read")]
    body = payloads.webhook(messages=[payloads.message(wamid="wamid.in")], statuses=statuses)
    assert set(updates_of(orjson.loads(body))) == {
        Update("wamid.in"),
        Update("wamid.1", "sent"),
        Update("wamid.1", "read"),
    }


async def test_what_the_status_command_says_of_the_accounting(redis: Redis, redis_url: str) -> None:
    await redis.sadd(keys.VENDORS, "good", "bad", "earlier")
    await redis.hset(keys.counters("good"), mapping={"updates": 2, "done": 1, "coalesced": 1})
    for vendor in ("bad", "earlier"):
        await redis.hset(keys.counters(vendor), mapping={"claimed": 3, "accepted": 2})
    answer = await status_of(redis_url)
    [difference] = balance_differences(answer, ["good", "bad"])
    assert difference.startswith("vendor bad: sends")
    assert balance_differences(answer, ["good", "new"]) == []


async def test_dead_letters_that_nobody_counted(redis: Redis, redis_url: str) -> None:
    await redis.zadd(keys.DEAD, {"bad": 2})
    await redis.hset(keys.dead_letters("bad"), "1", "{}")
    [difference] = balance_differences(await status_of(redis_url), ["bad"])
    assert difference.startswith("vendor bad: letters")
