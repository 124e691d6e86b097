"""Which headers go on to PHP, and which come back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.proxy_headers import from_php, goes_round, to_php

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
#: Of a request, what is said anew.
ANEW = {
    "content-length",
    "expect",
    "proxy",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "host",
}
NAMES = st.sampled_from(sorted(HOP_BY_HOP | ANEW | {"x-a", "x-b", "cookie", "x-hub-signature-256"}))
VALUES = st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f"), max_size=20
)
OPTIONS = st.lists(st.sampled_from(["close", "X-A", " x-b ", "cookie", "", "Host"])).map(",".join)
HEADERS = st.lists(
    st.tuples(NAMES, VALUES) | st.tuples(st.just("connection"), OPTIONS), max_size=12
)


def scope(*headers: tuple[str, str], **values: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {
        "headers": raw,
        "client": ("192.0.2.1", 5),
        "scheme": "http",
        "http_version": "1.1",
        **values,
    }


def test_who_calls() -> None:
    nginx = (
        ("host", "site.example.com"),
        ("x-real-ip", "203.0.113.7"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
    )
    assert dict(to_php(scope(*nginx))) == {
        "host": "site.example.com",
        "x-real-ip": "203.0.113.7",
        "x-forwarded-for": "203.0.113.7, 192.0.2.1",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
        "x-forwarded-host": "site.example.com",
        "via": "1.1 whatsapp-sidecar",
    }


def test_who_calls_without_nginx() -> None:
    headers = to_php(scope(("host", "localhost:8600"), scheme="http", http_version="1.0"))
    assert dict(headers) == {
        "host": "localhost:8600",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "localhost:8600",
        "via": "1.0 whatsapp-sidecar",
    }
    assert dict(to_php(scope(client=None))) == {
        "x-forwarded-proto": "http",
        "via": "1.1 whatsapp-sidecar",
    }


def test_who_calls_over_several_proxies() -> None:
    given = scope(
        ("x-forwarded-for", "203.0.113.7, 198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2"),
        ("x-forwarded-host", "of-the-balancer.example.com"),
        ("host", "site.example.com"),
        ("via", "1.1 balancer"),
    )
    headers = to_php(given)
    assert headers.getall("x-forwarded-for") == [
        "203.0.113.7, 198.51.100.1, 198.51.100.2, 192.0.2.1"
    ]
    assert headers["x-forwarded-host"] == "of-the-balancer.example.com"
    assert headers["host"] == "site.example.com"
    assert headers["via"] == "1.1 balancer, 1.1 whatsapp-sidecar"


def test_connection_cannot_take_away_who_calls() -> None:
    given = scope(
        ("connection", "close, X-Forwarded-For, X-Real-IP, Host, X-Own"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("host", "site.example.com"),
        ("x-own", "hop"),
    )
    headers = to_php(given)
    assert headers["x-forwarded-for"] == "203.0.113.7, 192.0.2.1"
    assert headers["x-real-ip"] == "203.0.113.7"
    assert headers["host"] == "site.example.com"
    assert "x-own" not in headers


@pytest.mark.parametrize(
    ("via", "round_"),
    [
        ("1.1 whatsapp-sidecar", True),
        ("1.0 a, 1.1 whatsapp-sidecar , 1.1 nginx", True),
        ("1.1 not-whatsapp-sidecar", False),
        ("1.1 whatsapp-sidecar.example.com", False),
        ("", False),
    ],
)
def test_what_has_gone_round(via: str, round_: bool) -> None:
    assert goes_round(scope(("via", via))) is round_
    assert goes_round(scope(("x-via", via))) is False
    assert goes_round(scope(("via", "1.1 x"), ("via", via))) is round_


def test_values_that_cannot_be_sent_are_left_out() -> None:
    raw = [(b"x-a", b"\xff"), (b"x-b", b"a\x01b"), (b"x-c", "ü\t".encode()), (b"", b"x")]
    headers = to_php({**scope(), "headers": raw})
    assert [name for name in headers if name.startswith("x-") and len(name) == 3] == ["x-c"]
    assert headers["x-c"] == "ü\t"
    answer = [(b"X-A", b"\xff"), (b"X-B", b"a\nb"), (b"X C", b"x"), (b"", b"x"), (b"X-D", b"")]
    assert from_php(answer) == [(b"x-a", b"\xff"), (b"x-d", b"")]


def test_the_mark_is_the_sidecars_own() -> None:
    assert from_php([(b"X-Sidecar-Proxied", b"0"), (b"X-A", b"1")]) == [(b"x-a", b"1")]


@given(HEADERS)
def test_what_goes_on(headers: list[tuple[str, str]]) -> None:
    named = {
        option.strip().lower()
        for name, value in headers
        if name == "connection"
        for option in value.split(",")
    }
    found = to_php(scope(*headers))
    assert not HOP_BY_HOP & set(found)
    expected = [h for h in headers if h[0] not in HOP_BY_HOP | ANEW and h[0] not in named]
    assert [h for h in found.items() if h[0] not in ANEW] == expected
    for name in ("host", "x-forwarded-proto"):
        given = [value for given_name, value in headers if given_name == name]
        assert found.getall(name, []) == (given or (["http"] if name != "host" else []))
    assert len(found.getall("x-forwarded-for")) == len(found.getall("via")) == 1


@given(HEADERS)
def test_what_comes_back(headers: list[tuple[str, str]]) -> None:
    named = {
        option.strip().lower()
        for name, value in headers
        if name == "connection"
        for option in value.split(",")
    }
    raw = [(name.title().encode(), value.encode()) for name, value in headers]
    dropped = HOP_BY_HOP | {"content-length"} | named
    assert from_php(raw) == [
        (name.encode(), value.encode()) for name, value in headers if name not in dropped
    ]
