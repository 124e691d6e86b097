"""How evidence is read out of logs, Redis and what ``sidecar status`` says."""

import os
from typing import Any

import orjson
import redis as blocking_redis

from simulator.adversary import evidence
from simulator.adversary.evidence import Left, Webhooks
from simulator.adversary.flood import Posted
from simulator.adversary.payloads import Post


def line(path: str, status: int, upstream: str, method: str = "POST") -> bytes:
    found = {"path": path, "status": status, "upstream_status": upstream, "method": method}
    return orjson.dumps({**found, "seconds": 0.1})


def test_only_what_the_sidecar_has_answered_is_acknowledged() -> None:
    log = [
        line("/whatsapp-webhook/b", 200, "200"),
        line("/webhook/b", 200, "200"),
        line("/whatsapp-webhook/b", 200, "503 : 200"),
        line("/whatsapp-webhook/b", 499, ""),
        line("/whatsapp-webhook/b", 200, "200", "GET"),
        line("/whatsapp-webhook/a", 413, ""),
        line("/", 404, ""),
    ]
    assert evidence.webhooks_in(log) == {
        "b": Webhooks(2, ["200, upstream 503 : 200 after 0.1 s", "499, upstream none after 0.1 s"]),
        "a": Webhooks(0, ["413, upstream none after 0.1 s"]),
    }


def test_errors_that_were_logged() -> None:
    log = [
        b'{"event":"drain_failed","level":"error"}\n{"event": "error", "level": "info"}',
        b'Traceback (most recent call last):\n  File\n{"event": "drain_failed", "level": '
        b'"critical"}',
    ]
    assert evidence.errors_in(log) == {"drain_failed": 2, "Traceback": 1}


def test_messages_that_redis_holds(redis_url: str) -> None:
    with blocking_redis.Redis.from_url(redis_url) as client:
        client.xadd("inbox:messages:a", {"0": b'{"id":"wamid.stream"}'})
        client.rpush("deferred:messages:a/1", b'{"id":"wamid.list"}')
        client.hset("dead", "1", b'{"wamid":"wamid.dead"}')
        client.hset("ledger:c", "row", b"s:wamid.hash")
        client.zadd("deferred:statuses", {"a/wamid.zset": 1})
        client.set("dedup:1", b"wamid.only.remembered")
        client.set("effect:a:wamid.taken", b"1")
        left = evidence.left_in(client)
    assert left.waiting == {"wamid.stream", "wamid.list", "wamid.hash", "wamid.zset"}
    assert left.dead == {"wamid.dead"}
    assert "ledger:c" in left.keys


def test_wamids_of_metas_form() -> None:
    text = rb'{"id":"wamid.HBgL\/AA==","x":"wamid.b+c"}'
    assert evidence.wamids_in([text]) == {"wamid.HBgL/AA==", "wamid.b+c"}


def test_what_was_acknowledged_must_be_found() -> None:
    post = Post(0.0, "a", b"", "", ("wamid.1", "wamid.2"))
    posted = [Posted(post, 200), Posted(Post(0.0, "a", b"", "", ("wamid.3",)), 503)]
    assert evidence.lost(posted, {"wamid.1"}) == ["wamid.2"]
    assert evidence.lost(posted, {"wamid.1", "wamid.2"}) == []


def status(**more: Any) -> dict[str, Any]:
    return {"problems": [], "lanes": {}, "paused": [], "campaigns": [], **more}


def accounting(waiting: int | None, dead: int) -> dict[str, Any]:
    return {"updates": {"waiting": waiting, "dead": dead}}


def test_who_is_named() -> None:
    vendors = {
        "vendor-a": accounting(4, 0),
        "vendor-b": accounting(0, 2),
        "vendor-c": accounting(0, 0),
        "vendor-d": accounting(1, 1),
    }
    said = status(
        problems=[{"what": "PHP does not take updates of vendor-d", "do": "Look"}],
        accounting={"vendors": vendors},
    )
    assert evidence.unnamed(said, [*vendors, "nobody"]) == ["vendor-a", "vendor-b"]


def test_what_restrains_the_victim() -> None:
    names = ["vendor-b", "campaign-b", "2001"]
    paused = {"scope": "account", "id": "3001", "vendor_uid": "vendor-a"}
    assert evidence.restrained(status(paused=[paused]), Left(), names) == []
    shared = {"scope": "number", "id": "2001", "vendor_uid": "vendor-a"}
    assert len(evidence.restrained(status(paused=[shared]), Left(), names)) == 1
    halted = [{"uid": "campaign-b", "state": "paused"}, {"uid": "campaign-a", "state": "paused"}]
    assert len(evidence.restrained(status(campaigns=halted), Left(), names)) == 1
    running = [{"uid": "campaign-b", "state": "running"}]
    assert evidence.restrained(status(campaigns=running), Left(), names) == []
    left = Left(keys=("hold:number:2001", "hold:number:2002", "ledger:campaign-b"))
    assert evidence.restrained(status(), left, names) == ["hold:number:2001"]


def test_drains_that_died() -> None:
    lanes = {"messages": {"waiting_because": {"deaths": 2}}, "statuses": {"waiting_because": {}}}
    assert evidence.deaths(status(lanes=lanes)) == 2


def test_how_long_customers_waited() -> None:
    inbound = [
        {"wamid": "1", "created_at": 10_000},
        {"wamid": "2", "created_at": 10_000},
        {"wamid": "3", "created_at": 10_000},
    ]
    assert evidence.waits(inbound, {"1": 10.5, "2": 9.9}, 17.0) == [0.0, 0.5, 7.0]


def test_the_most_memory_that_a_process_had() -> None:
    assert evidence.peak_bytes(os.getpid()) > 10_000_000
    assert evidence.peak_bytes(0) == 0
