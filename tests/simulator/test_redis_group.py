"""Servers and Sentinels that can be lost, held up and cut off one by one."""

from typing import Any

import redis

from simulator.redis_group import PASSWORD, RedisGroup
from simulator.redis_server import RedisServer


def role(group: RedisGroup, server: RedisServer) -> str:
    with group.client(server) as client:
        info: Any = client.info("replication")
    return str(info["role"])


def up(group: RedisGroup) -> set[str]:
    return {name for name, server in group.servers.items() if server.running}


def test_its_parts(redis_group: RedisGroup) -> None:
    assert len(up(redis_group)) == 2
    assert len(redis_group.sentinels) == 3
    assert redis_group.ended() == []
    assert sorted(role(redis_group, s) for s in redis_group.servers.values() if s.running) == [
        "master",
        "slave",
    ]
    hosts = redis_group.url.removeprefix(f"sentinel://:{PASSWORD}@").partition("/")[0].split(",")
    assert hosts == [f"127.0.0.1:{sentinel.port}" for sentinel in redis_group.sentinels]


def test_a_primary_is_lost_with_its_disk(redis_group: RedisGroup) -> None:
    old = redis_group.primary
    with redis_group.client(old) as client:
        client.set("a", 1)
        client.wait(1, 1000)
    assert (old.folder / "appendonlydir").exists()
    redis_group.lose(old)
    assert not (old.folder / "appendonlydir").exists()
    assert (old.folder / "redis.log").exists()
    assert redis_group.ended() == [], "nobody expects it to run"
    new = redis_group.wait_for_failover(old)
    replica = redis_group.add_replica()
    assert up(redis_group) == {new.name, replica.name}
    with redis_group.client(replica) as client:
        assert client.get("a") == b"1"


def test_a_primary_is_cut_off(redis_group: RedisGroup) -> None:
    """It answers clients, and comes back as a replica, without what it took meanwhile."""
    old = redis_group.primary
    with redis_group.isolated(old):
        with redis_group.client(old) as client:
            client.set("b", 1)
            assert client.wait(1, 100) == 0
        new = redis_group.wait_for_failover(old)
        assert role(redis_group, old) == role(redis_group, new) == "master"
    redis_group.wait_until_whole()
    with redis_group.client(old) as client:
        assert client.get("b") is None


def test_a_primary_stands_still(redis_group: RedisGroup) -> None:
    old = redis_group.primary
    with redis_group.hung(old):
        new = redis_group.wait_for_failover(old)
        with redis.Redis(port=old.port, password=PASSWORD, socket_timeout=0.2) as client:
            try:
                client.ping()
            except redis.TimeoutError:
                pass
            else:
                raise AssertionError("it answers")
    redis_group.wait_until_whole()
    assert role(redis_group, new) == "master"
    redis_group.settle()
    assert len(up(redis_group)) == 2
