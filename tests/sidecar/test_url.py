"""Addresses in settings, and the database that follows from one."""

from dataclasses import replace

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from pydantic import TypeAdapter, ValidationError

from sidecar.inbox.wakeups import WakeUpBroker
from sidecar.url import HttpUrl, RedisUrl, SecretUrl, next_database, read_sentinel_url

HTTP = TypeAdapter(HttpUrl)
REDIS = TypeAdapter(RedisUrl)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com/shop//", "https://app.example.com/shop"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
    ],
)
def test_http_addresses(given: str, kept: str) -> None:
    assert HTTP.validate_python(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "app.example.com",
        "ftp://app.example.com",
        "http://",
        "http://:80",
        "http:///x",
        "http://[::1",
        "http://host:port",
        "http://host:99999",
        "http://user:hunter2-hunter2@host",
        "http://host/?a=b",
        "http://host/#part",
        "http://host/café",
        "http://host/a b",
    ],
)
def test_what_is_no_http_address(given: str) -> None:
    with pytest.raises(ValidationError):
        HTTP.validate_python(given)


@pytest.mark.parametrize(
    "given",
    [
        "redis://127.0.0.1:6379/0",
        "redis://127.0.0.1",
        "redis://:pass%2Fword@host:1/3",
        "rediss://user:password@host/2?ssl_cert_reqs=none",
        "unix:///run/valkey.sock?db=2",
    ],
)
def test_redis_addresses(given: str) -> None:
    assert REDIS.validate_python(given) == given
    redis.ConnectionPool.from_url(given)


def test_no_redis_address_is_one_too() -> None:
    assert REDIS.validate_python(None) is None


@pytest.mark.parametrize(
    "given",
    [
        "127.0.0.1:6379",
        "http://host",
        "valkey://host",
        "redis://host/inbox",
        "redis://host?db=first",
        "unix:///run/valkey.sock?db=-1",
        "redis://:hunter2/hunter2@host/0",
    ],
)
def test_what_is_no_redis_address(given: str) -> None:
    with pytest.raises(ValidationError) as raised:
        REDIS.validate_python(given)
    [error] = raised.value.errors(include_input=False)
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize(
    ("given", "follows"),
    [
        ("redis://host", "redis://host/1"),
        ("redis://host/", "redis://host/1"),
        ("redis://host:6379/0", "redis://host:6379/1"),
        ("redis://:pass%2Fword@host:6379/14", "redis://:pass%2Fword@host:6379/15"),
        ("redis://host/5?db=3", "redis://host/4"),
        ("redis://host?socket_timeout=5&db=3", "redis://host/4?socket_timeout=5"),
        ("rediss://host/2?ssl_cert_reqs=none", "rediss://host/3?ssl_cert_reqs=none"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=1"),
        ("unix:///run/valkey.sock?db=7", "unix:///run/valkey.sock?db=8"),
        ("unix:///a?db=0&socket_timeout=5", "unix:///a?socket_timeout=5&db=1"),
        ("unix://:password@/run/valkey.sock", "unix://:password@/run/valkey.sock?db=1"),
    ],
)
def test_the_next_database(given: str, follows: str) -> None:
    assert next_database(given) == follows
    here = redis.ConnectionPool.from_url(given).connection_kwargs
    there = redis.ConnectionPool.from_url(follows).connection_kwargs
    assert there["db"] == here.get("db", 0) + 1
    assert there.get("path") == here.get("path")
    assert there.get("host") == here.get("host")
    assert isinstance(WakeUpBroker(follows), RedisBroker)


@pytest.mark.parametrize(
    ("given", "sentinels", "sentinel", "server"),
    [
        ("sentinel://a/main", ("a:26379",), "redis://a:26379", "redis://10.0.0.1:6380/0"),
        (
            "sentinel://a,b:26380,[::1]/mymaster/3",
            ("a:26379", "b:26380", "[::1]:26379"),
            "redis://a:26379",
            "redis://10.0.0.1:6380/3",
        ),
        (
            "sentinel://me:hunter2%2F@a,b/mymaster/0?sentinel_password=other%2F&client_name=x%26y",
            ("a:26379", "b:26379"),
            "redis://:other%2F@a:26379?client_name=x%26y",
            "redis://me:hunter2%2F@10.0.0.1:6380/0?client_name=x%26y",
        ),
        (
            "sentinels://:hunter2@a/m.y-1_2/?sentinel_username=s&sentinel_password=p"
            "&ssl_ca_certs=/etc/ca.pem",
            ("a:26379",),
            "rediss://s:p@a:26379?ssl_ca_certs=%2Fetc%2Fca.pem",
            "rediss://:hunter2@10.0.0.1:6380/0?ssl_ca_certs=%2Fetc%2Fca.pem",
        ),
    ],
)
def test_addresses_of_sentinels(
    given: str, sentinels: tuple[str, ...], sentinel: str, server: str
) -> None:
    assert REDIS.validate_python(given) == given
    read = read_sentinel_url(given)
    assert read is not None
    assert read.sentinels == sentinels
    assert read.sentinel(read.sentinels[0]) == sentinel
    assert read.server("10.0.0.1:6380") == server
    assert "hunter2" not in repr(read)
    for url in (sentinel, server):
        redis.ConnectionPool.from_url(url)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("sentinel://", "write it as"),
        ("sentinel:///mymaster/0", "write it as"),
        ("sentinel://a,b,c", "write it as"),
        ("sentinel://a/my master/0", "write it as"),
        ("sentinel://a/mymaster/first", "write it as"),
        ("sentinel://:hunter2/hunter2@a/mymaster/0", "write it as"),
        ("sentinel://a,,b/mymaster/0", "host and a port"),
        ("sentinel://a:port/mymaster", "host and a port"),
        ("sentinel://a:65536/mymaster", "host and a port"),
        ("sentinel://a/mymaster?db=1", "no option db"),
        ("sentinel://a/mymaster/0?sentinel_pasword=hunter2", "no option sentinel_pasword"),
    ],
)
def test_what_is_no_address_of_sentinels(given: str, what: str) -> None:
    with pytest.raises(ValidationError) as raised:
        REDIS.validate_python(given)
    [error] = raised.value.errors(include_input=False)
    assert what in error["msg"]
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize(
    ("given", "follows"),
    [
        ("sentinel://a/mymaster", "sentinel://a/mymaster/1"),
        ("sentinel://a,b:1/mymaster/", "sentinel://a,b:1/mymaster/1"),
        (
            "sentinels://u:p@a,b/mymaster/7?sentinel_password=/mymaster/",
            "sentinels://u:p@a,b/mymaster/8?sentinel_password=/mymaster/",
        ),
    ],
)
def test_the_next_database_behind_sentinels(given: str, follows: str) -> None:
    assert next_database(given) == follows
    here, there = read_sentinel_url(given), read_sentinel_url(follows)
    assert here is not None
    assert there == replace(here, database=here.database + 1)


def test_a_secret_address_is_kept_as_it_is_and_never_shown() -> None:
    url = "https://ops.example.com/T0/x?token=hunter2%2F"
    kept = TypeAdapter(SecretUrl).validate_python(url)
    assert kept.get_secret_value() == url
    assert "hunter2" not in repr(kept)


@pytest.mark.parametrize(
    "given", ["ops.example.com", "ftp://ops/x", "http://", "http://me@ops/x", "http://ops/#x"]
)
def test_what_is_no_secret_address(given: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SecretUrl).validate_python(given)
