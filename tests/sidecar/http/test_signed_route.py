"""Internal calls: what is not signed as it should be gets 401 with the reason, and nothing
happens."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message

from contracts import signing
from contracts.signing import Audience, Signer
from sidecar.http.signed_route import BODY_LIMIT
from sidecar.redis import keys
from tests import trust
from tests.eventually import eventually
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.conftest import MakeService
from tests.sidecar.service import DOCUMENT, VENDOR, Service

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


async def test_what_php_asks_for_goes_on_with_phps_trace(service: Service, php: Php) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers["traceparent"] = parent
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    assert answer.status_code == 200
    traces = {call.headers["traceparent"].split("-")[1] for call in php.calls}
    assert traces == {"4bf92f3577b34da6a3ce929d0e0e4736"}


@pytest.mark.parametrize(
    "header", list(Signer(Audience.SIDECAR, "k", b"s").headers("GET", "/", b""))
)
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
        (signing.SIGNATURE_HEADER, "v2=" + "0" * 64, "signature_mismatch"),
        (signing.SIGNATURE_HEADER, "v2", "signature_mismatch"),
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
    signer = Signer(
        Audience.SIDECAR,
        trust.KEY_ID,
        trust.SIGNING_SECRET.encode(),
        clock=lambda: time.time() + off_s,
    )
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


# -- a Redis that was emptied --

BODIES = {
    "/internal/effects": b'{"vendor_uid": "%s", "effects": []}' % VENDOR.encode(),
    "/internal/invalidate": b'{"vendor_uids": [], "scopes": ["settings"]}',
    "/internal/modes": b'{"vendor_uids": [], "action": "show"}',
    "/internal/ping": b'{"token": "0123456789abcdef"}',
    "/match-bot": b'{"vendor_uid": "%s", "message": "hello"}' % VENDOR.encode(),
}


def signed_routes() -> list[tuple[str, str]]:
    """Every operation of the document that asks for a signature."""
    return [
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if any("SidecarSignature" in scheme for scheme in operation.get("security", []))
    ]


def test_there_are_signed_routes() -> None:
    assert len(signed_routes()) >= 10


@pytest.mark.parametrize(("method", "path"), signed_routes())
async def test_no_call_is_accepted_again_by_a_redis_that_was_emptied(
    service: Service, method: str, path: str
) -> None:
    target = path.replace("{campaign_uid}", CAMPAIGN)
    body = b"" if method == "GET" else BODIES.get(target, b"{}")
    headers = service.signed(method, target, body)
    first = await service.request(method, target, content=body, headers=headers)
    assert first.status_code != 401
    for _ in range(2):
        await service.redis.flushall()
        again = await service.request(method, target, content=body, headers=headers)
        assert (again.status_code, again.json()["error"]["code"]) == (401, "nonces_lost")

    async def accepted() -> bool:  # not within the same millisecond
        return (await service.call(method, target, body)).status_code == first.status_code

    await eventually(accepted)


async def test_nor_by_another_process_with_a_redis_that_was_emptied(
    make_service: MakeService, service: Service
) -> None:
    headers = service.signed("POST", PAUSE, BODY)
    assert (await service.request("POST", PAUSE, content=BODY, headers=headers)).is_success
    await service.redis.flushall()
    other = await make_service()
    answer = await other.request("POST", PAUSE, content=BODY, headers=headers)
    assert answer.json()["error"]["code"] == "nonces_lost"


async def test_a_caller_whose_clock_is_ahead(service: Service, php: Php) -> None:
    """What it signed before the wipe bears a time after it."""

    def signed(ahead_s: float) -> dict[str, str]:
        secret = trust.SIGNING_SECRET.encode()
        clock = lambda: time.time() + ahead_s  # noqa: E731
        return Signer(Audience.SIDECAR, trust.KEY_ID, secret, clock).headers("POST", PAUSE, BODY)

    async def code(headers: dict[str, str]) -> str | None:
        answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
        return answer.json()["error"]["code"] if answer.status_code == 401 else None

    headers = signed(120)
    assert await code(headers) is None
    await service.redis.flushall()
    assert await code(signed(0)) == "nonces_lost", "that is when the wipe is noticed"
    assert await code(headers) == "nonces_lost"
    assert await code(signed(122)) is None


async def test_a_wipe_is_noticed_without_a_call(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.http.signed_route.BEGIN_EVERY_S", 0.01)
    service = await make_service()
    await service.redis.flushall()

    async def noticed() -> bool:
        return bool(await service.redis.exists(keys.NONCES_SINCE))

    await eventually(noticed)
    since = int(await service.redis.get(keys.NONCES_SINCE) or 0)
    await eventually(lambda: time.time() * 1000 > since + 1)
    assert (await service.call("POST", PAUSE, BODY)).is_success


async def test_a_call_that_is_signed_for_php(service: Service, php: Php) -> None:
    signer = Signer(Audience.BACKEND, trust.KEY_ID, trust.SIGNING_SECRET.encode())
    headers = signer.headers("POST", PAUSE, BODY)
    answer = await service.request("POST", PAUSE, content=BODY, headers=headers)
    await refused(service, php, answer, "signature_mismatch")


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


STOPS = [call for call in CALLS if call[1].endswith(("/pause", "/cancel"))]


@pytest.mark.parametrize(("method", "target"), [call for call in CALLS if call not in STOPS])
async def test_without_redis(make_service: MakeService, method: str, target: str) -> None:
    """Nothing can be said about the nonce, so nothing is done."""
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    answer = await service.call(method, target)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "redis_unavailable"


@pytest.mark.parametrize(("method", "target"), STOPS)
async def test_what_stops_something_is_taken_without_redis_and_once(
    make_service: MakeService, method: str, target: str
) -> None:
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    headers = service.signed(method, target)
    assert (await service.request(method, target, headers=headers)).status_code == 200
    again = await service.request(method, target, headers=headers)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "nonce_repeated")
    forged = await service.request(
        method, target, headers={**headers, signing.NONCE_HEADER: "n" * 32}
    )
    assert forged.status_code == 401


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
