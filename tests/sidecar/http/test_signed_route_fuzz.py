"""Internal calls that are signed and say anything: refused with a reason, and never an error of
ours. The same for whatever PHP answers."""

from typing import Any
from urllib.parse import quote_from_bytes, unquote

import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.redis import keys
from tests.contracts.odd_json import ODD
from tests.examples import examples
from tests.sidecar.answering_php import Php
from tests.sidecar.http.test_webhook_fuzz import requested
from tests.sidecar.http.test_webhook_fuzz import unhurried as many
from tests.sidecar.service import VENDOR, Service

unhurried = settings(many, max_examples=examples(60))

CAMPAIGN = "c-1"
VERBS = ("send", "pause", "resume", "cancel")
#: What any call may get that the sidecar could carry out if PHP wanted it to.
REFUSED = {400, 404, 405, 409, 413}

KEYS = st.sampled_from(
    ["reason", "vendor_uids", "scopes", "message", "vendor_uid", "vendorId", "contact"]
) | st.text(max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=600)
    | st.sampled_from(["settings", "bots", VENDOR]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *("reason", "vendor_uids", "scopes", "message", "vendor_uid", "vendorId", "contact"),
        *("effects", "token", "timeout_s", "by", "webhooks", "campaigns", "bots", "options"),
        *("kind", "id", "to", "channels", "event", "data", "body", "expires_at", "messages"),
    ]
)
ODD_TEXTS = st.sampled_from([text for text, _ in ODD.values()])


def _object(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"


#: JSON that holds what some readers of JSON do not take, or take for something else.
ODD_JSON = st.recursive(
    ODD_TEXTS | JSON.map(orjson.dumps).map(bytes.decode),
    lambda inner: (
        st.dictionaries(FIELDS, inner, max_size=4).map(_object)
        | st.lists(inner, max_size=3).map(lambda parts: "[" + ",".join(parts) + "]")
    ),
    max_leaves=8,
)
EFFECT = st.dictionaries(FIELDS, ODD_JSON, max_size=5).flatmap(
    lambda fields: st.sampled_from(["send_message", "ai_reply", "forward", "broadcast"]).map(
        lambda kind: _object({**fields, "kind": f'"{kind}"', "id": '"e"', "to": '"49"'})
    )
)
BODIES = st.one_of(
    st.just(b""),
    st.dictionaries(FIELDS, ODD_JSON, min_size=1, max_size=4).map(_object).map(str.encode),
    st.dictionaries(KEYS, JSON, max_size=5).map(orjson.dumps),
    JSON.map(orjson.dumps),
    st.binary(max_size=200),
    st.sampled_from([b'{"reason": "\\ud800"}', b"[" * 5000, b"1e999", b"\xff", b'{"a":1,"a":2}']),
)
SEGMENTS = st.one_of(
    st.just(CAMPAIGN.encode()), st.text(max_size=30).map(str.encode), st.binary(max_size=20)
)
QUERIES = st.binary(max_size=30).map(lambda value: quote_from_bytes(value, safe="=&?").encode())


@pytest.fixture(autouse=True)
def campaign(php: Php) -> None:
    php.add_campaign(CAMPAIGN, VENDOR)


def encoded(segment: bytes) -> str:
    return quote_from_bytes(segment, safe="")


async def call(service: Service, method: str, path: str, query: bytes, body: bytes) -> int:
    """Make a signed call. ``path`` is percent-encoded."""
    target = f"{path}?{query.decode()}" if query else path
    signed = service.signed(method, target, body)
    headers = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
    return await requested(
        service, method, unquote(path), query, headers, [body], raw_path=path.encode()
    )


@unhurried
@given(SEGMENTS, st.sampled_from(VERBS), QUERIES, BODIES)
async def test_any_change_of_a_campaign(
    service: Service, segment: bytes, verb: str, query: bytes, body: bytes
) -> None:
    path = f"/internal/campaigns/{encoded(segment)}/{verb}"
    status = await call(service, "POST", path, query, body)
    assert status == 200 or status in REFUSED
    if status == 200:
        assert segment == CAMPAIGN.encode()


@unhurried
@given(SEGMENTS, QUERIES, BODIES)
async def test_any_question_about_a_campaign(
    service: Service, segment: bytes, query: bytes, body: bytes
) -> None:
    status = await call(service, "GET", f"/internal/campaigns/{encoded(segment)}", query, body)
    assert status == 200 or status in REFUSED


@unhurried
@given(BODIES)
async def test_any_change_of_configuration(service: Service, body: bytes) -> None:
    before = await service.redis.xlen(keys.CONFIG_CHANGES)
    status = await call(service, "POST", "/internal/invalidate", b"", body)
    after = await service.redis.xlen(keys.CONFIG_CHANGES)
    assert (status, after) in {(200, before + 1), (400, before)}


@unhurried
@given(BODIES)
async def test_any_question_about_bots(service: Service, body: bytes) -> None:
    assert await call(service, "POST", "/match-bot", b"", body) in {200, 400, 404}


@unhurried
@given(st.lists(EFFECT, max_size=3) | st.lists(ODD_JSON, max_size=2))
async def test_any_effects(service: Service, effects: list[str]) -> None:
    body = f'{{"vendor_uid": "{VENDOR}", "effects": [{", ".join(effects)}]}}'
    assert await call(service, "POST", "/internal/effects", b"", body.encode()) in {200, 400}


@unhurried
@given(st.sampled_from(["/internal/modes", "/internal/ping", "/internal/effects"]), BODIES)
async def test_any_body_of_other_calls(service: Service, path: str, body: bytes) -> None:
    status = await call(service, "POST", path, b"", body)
    assert status == 200 or status in REFUSED | {503}


@unhurried
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "QUERY"]),
    st.lists(SEGMENTS, max_size=4),
    QUERIES,
    BODIES,
)
async def test_any_route(
    service: Service, method: str, segments: list[bytes], query: bytes, body: bytes
) -> None:
    path = "/internal/" + "/".join(encoded(segment) for segment in segments)
    assert await call(service, method, path, query, body) < 500


# -- what PHP answers --

CAMPAIGNS = st.fixed_dictionaries(
    {"campaign_uid": st.just(CAMPAIGN) | JSON, "vendor_uid": st.just(VENDOR) | JSON},
    optional={
        "state": st.sampled_from(["running", "paused", "cancelled"]) | JSON,
        "due": st.integers(0, 5) | JSON,
        "next_due_at": JSON,
        "counts": JSON,
        "on_sidecar": JSON,
        "reason": JSON,
    },
)
ANSWERS = st.tuples(
    st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503]),
    st.one_of(
        st.fixed_dictionaries({"campaigns": st.lists(CAMPAIGNS, max_size=2)}).map(orjson.dumps),
        st.fixed_dictionaries({"released": JSON}).map(orjson.dumps),
        st.fixed_dictionaries({"error": JSON}).map(orjson.dumps),
        JSON.map(orjson.dumps),
        st.binary(max_size=100),
    ),
)


@unhurried
@given(st.sampled_from(VERBS), st.lists(ANSWERS, min_size=1, max_size=3))
async def test_whatever_php_answers(
    service: Service, php: Php, verb: str, answers: list[tuple[int, bytes]]
) -> None:
    """The caller is told that PHP cannot be asked, which is no fault of theirs, or what it said."""
    given = list(answers)

    def answer(_call: Any) -> web.Response:
        status, body = given.pop(0) if len(given) > 1 else given[0]
        return web.Response(status=status, body=b"" if status == 204 else body)

    php.override = answer
    try:
        status = await call(
            service, "POST", f"/internal/campaigns/{CAMPAIGN}/{verb}", b"", b'{"reason": "x"}'
        )
    finally:
        php.override = None
    assert status in {200, 404, 409, 503}
