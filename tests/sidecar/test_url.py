"""Addresses in settings, and the database that follows from one."""

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from pydantic import TypeAdapter, ValidationError

from sidecar.inbox.wakeups import WakeUpBroker
from sidecar.url import HttpUrl, RedisUrl, SecretUrl, next_database

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
