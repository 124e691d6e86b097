"""Internal calls: what is not signed as it should be gets 401 with the reason, and nothing
happens."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message

from contracts import signing
from contracts.signing import Signer
from sidecar import keys
from sidecar.internal import BODY_LIMIT
from tests import trust
from tests.sidecar.conftest import MakeService
from tests.sidecar.php import Php, refusal
from tests.sidecar.service import VENDOR, Service

CAMPAIGN = "c-1"
PAUSE = f"/internal/campaigns/{CAMPAIGN}/pause"
BODY = b'{"reason": "as the customer wants"}'
CALLS = [
    ("GET", f"/internal/campaigns/{CAMPAIGN}"),
    *(
        ("POST", f"/internal/campaigns/{CAMPAIGN}/{verb}")
        for verb in ("send", "pause", "resume", "cancel")
    ),
    ("POST", "/internal/invalidate"),
    ("POST", "/match-bot"),
]


@pytest.fixture(autouse=True)
def campaign(php: Php) -> None:
    php.add_campaign(CAMPAIGN, VENDOR)


async def refused(service: Service, php: Php, answer: httpx.Response, reason: str) -> None:
    """Check that it was refused for this reason, and that nothing happened."""
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == reason
    assert answer.json()["error"]["message"]
    assert php.calls == []
    assert await service.redis.keys("halt:*") == []
    assert await service.redis.keys("campaigns") == []
    assert await service.redis.keys(keys.CONFIG_VERSION) == []


@pytest.mark.parametrize(("method", "target"), CALLS)
async def test_an_unsigned_call(service: Service, php: Php, method: str, target: str) -> None:
    answer = await service.request(method, target, content=BODY)
    await refused(service, php, answer, "signature_missing")


@pytest.mark.parametrize("header", list(Signer("k", b"s").headers("GET", "/", b"")))
async def test_a_header_that_is_missing(service: Service, php: Php, header: str) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    del headers[header]
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    await refused(service, php, answer, "signature_missing")


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        (signing.NONCE_HEADER, "short", "signature_malformed"),
        (signing.NONCE_HEADER, "0123456789abcdef", "signature_mismatch"),
        (signing.TIMESTAMP_HEADER, "soon", "signature_malformed"),
        (signing.KEY_HEADER, "nobody's", "key_unknown"),
        (signing.SIGNATURE_HEADER, "v1=" + "0" * 64, "signature_mismatch"),
        (signing.SIGNATURE_HEADER, "v1", "signature_mismatch"),
    ],
)
async def test_a_header_that_is_wrong(
    service: Service, php: Php, header: str, value: str, reason: str
) -> None:
    headers = {**service.signed("POST", PAUSE, BODY), header: value}
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    await refused(service, php, answer, reason)


@pytest.mark.parametrize("off_s", [-400, 400])
async def test_a_stale_call(service: Service, php: Php, off_s: int) -> None:
    signer = Signer(trust.KEY_ID, trust.SIGNING_SECRET.encode(), clock=lambda: time.time() + off_s)
    headers = signer.headers("POST", PAUSE, BODY)
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    await refused(service, php, answer, "timestamp_stale")


async def test_a_changed_byte(service: Service, php: Php) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    for changed in (BODY + b" ", BODY[:-1], BODY.replace(b"customer", b"custoner"), b""):
        answer = await service.request("POST", PAUSE, content=changed, headers=headers)
        await refused(service, php, answer, "signature_mismatch")


async def test_a_call_for_another_path_or_method(service: Service, php: Php) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    for target in (
        f"/internal/campaigns/{CAMPAIGN}/send",
        "/internal/campaigns/c-2/pause",
        f"{PAUSE}?now=1",
        "/internal/campaigns/%63-1/pause",
    ):
        answer = await service.request("POST", target, content=BODY, headers=headers)
        await refused(service, php, answer, "signature_mismatch")
    show = f"/internal/campaigns/{CAMPAIGN}"
    headers = service.signed("POST", show)
    answer = await service.request("GET", show, headers=headers)
    await refused(service, php, answer, "signature_mismatch")


async def test_a_call_with_a_query_and_escapes_is_signed_as_it_is_sent(
    service: Service, php: Php
) -> None:
    target = "/internal/campaigns/%63-1?x=a%20b&y"
    answer = await service.call("GET", target)
    assert answer.status_code == 200
    for other in ("/internal/campaigns/c-1?x=a%20b&y", "/internal/campaigns/%63-1?y&x=a%20b"):
        headers = service.signed("GET", target)
        answer = await service.request("GET", other, headers=headers)
        assert answer.json()["error"]["code"] == "signature_mismatch"


async def test_a_repeated_call(service: Service, php: Php) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    answers = await asyncio.gather(
        *(service.request("POST", PAUSE, content=BODY, headers=headers) for _ in range(3))
    )
    answers.append(await service.request("POST", PAUSE, content=BODY, headers=headers))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    reasons = {a.json()["error"]["code"] for a in answers if a.status_code == 401}
    assert reasons == {"nonce_repeated"}
    assert len(php.asked("/internal/release-messages")) == 1


async def test_a_nonce_is_remembered_for_as_long_as_its_time_may_be_valid(
    make_service: MakeService,
) -> None:
    service = await make_service(signing_window_s=100)
    await service.call("GET", f"/internal/campaigns/{CAMPAIGN}")
    [nonce] = await service.redis.keys("nonce:*")
    assert 199 <= await service.redis.ttl(nonce) <= 201


async def test_a_refused_call_does_not_use_up_the_nonce(service: Service) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    answer = await service.request("POST", PAUSE, content=b"{}", headers=headers)
    assert answer.status_code == 401
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    assert answer.status_code == 200


async def test_another_key_is_accepted_too(make_service: MakeService) -> None:
    service = await make_service(
        signing_keys={"new": "another-secret-of-16", trust.KEY_ID: trust.SIGNING_SECRET},
        backend_url="http://127.0.0.1:9",
    )
    assert (await service.call("POST", "/internal/invalidate")).status_code == 200


# -- size ----------------------------------------------------------------------------------------


async def test_a_body_over_the_limit(service: Service, php: Php) -> None:
    answer = await service.call("POST", PAUSE, bytes(BODY_LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert php.calls == []
    # At the limit it is read, and then it is no JSON.
    assert (await service.call("POST", PAUSE, bytes(BODY_LIMIT))).status_code == 400


async def test_a_body_over_the_limit_that_does_not_say_so(service: Service) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    answer = await service.request("POST", PAUSE, content=endless())
    assert answer.status_code == 413


async def test_a_body_that_breaks_off(service: Service, php: Php) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": BODY, "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = service.signed("POST", PAUSE, BODY)
    scope = {
        "type": "http",
        "method": "POST",
        "path": PAUSE,
        "raw_path": PAUSE.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    answered: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    await service.app(scope, receive, send)
    assert answered[0]["status"] == 400
    assert php.calls == []


# -- what is down --------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "target"), CALLS)
async def test_without_redis(make_service: MakeService, method: str, target: str) -> None:
    """Nothing can be said about the nonce, so nothing is done."""
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    answer = await service.call(method, target)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "redis_unavailable"


@pytest.mark.parametrize(("method", "target"), CALLS[:5])
async def test_without_php(service: Service, php: Php, method: str, target: str) -> None:
    await php.stop()
    answer = await service.call(method, target)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert await service.redis.keys("halt:*") == []


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 500, 503])
async def test_what_is_between_php_and_us_is_not_the_callers_fault(
    service: Service, php: Php, status: int
) -> None:
    php.override = lambda call: refusal(status, "signature_mismatch")
    answer = await service.call("POST", PAUSE)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


async def test_what_php_does_not_know(service: Service, php: Php) -> None:
    php.override = lambda call: refusal(404, "campaign_unknown")
    answer = await service.call("POST", PAUSE)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "campaign_unknown"
