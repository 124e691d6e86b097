"""What a webhook gets: every row of the table of bad input, through the application."""

from collections.abc import AsyncIterator

import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.http.post import signature_holds
from sidecar.inbox.lanes import lane_of
from tests import trust
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook, status_webhook
from tests.sidecar.service import VENDOR, Service

OWN_SECRET = "secret-of-the-vendors-own-app"

# -- signatures ----------------------------------------------------------------------------------


def test_signatures() -> None:
    body = message_webhook()
    right = sign(b"two", body).encode()
    assert signature_holds(right, body, [b"one", b"two"])
    assert not signature_holds(right, body, [b"one"])
    assert not signature_holds(right, body, [])
    assert not signature_holds(right, body + b" ", [b"two"])
    for wrong in (
        b"",
        right[7:],
        right[:-1],
        right + b"0",
        b"SHA256=" + right[7:],
        b"sha1=" + right[7:],
    ):
        assert not signature_holds(wrong, body, [b"two"])


def test_an_empty_secret_signs_nothing() -> None:
    assert not signature_holds(sign(b"", b"{}").encode(), b"{}", [b""])


# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/webhook", "/whatsapp-webhook"])
async def test_a_webhook_is_kept_as_it_came(service: Service, path: str) -> None:
    for body in (message_webhook(), status_webhook()):
        answer = await service.webhook(body, path=path)
        assert answer.status_code == 200
        assert answer.text == "done"
        [entry] = await service.entries(lane_of(body))
        [kept] = entry.webhooks
        assert kept.body == body
        assert kept.signature == sign(trust.APP_SECRET.encode(), body).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"entry": 5}',
        b"<html>",
        b"\xff\xfe\x00",
        b'{"text": "gr\\u00fc\\u00dfe \\ud83d\\ude00"}',
        '{"text": "grüße 😀"}'.encode(),
        '{"text": "grüße"}'.encode("utf-16"),
    ],
)
async def test_a_body_of_any_shape_is_kept_if_it_is_signed(service: Service, body: bytes) -> None:
    assert (await service.webhook(body)).status_code == 200
    assert await service.bodies() == [body]


async def test_a_body_in_pieces(service: Service) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]
        yield b""

    body = message_webhook(text="x" * 1000)
    assert (await service.webhook(body, content=pieces())).status_code == 200
    assert await service.bodies() == [body]


async def test_an_overlong_signature_is_cut_where_none_is_enforced(
    make_service: MakeService,
) -> None:
    service = await make_service(webhook_signature="report")
    headers = {SIGNATURE_HEADER: "x" * 5000}
    assert (await service.webhook(b"{}", secret=None, headers=headers)).status_code == 200
    [entry] = await service.entries()
    assert entry.webhooks[0].signature == b"x" * 128


# -- signatures ----------------------------------------------------------------------------------


async def test_a_wrong_or_missing_signature(service: Service) -> None:
    assert (await service.webhook(b"{}", secret="of somebody else")).text == "signature_wrong"
    assert (await service.webhook(b"{}", secret=None)).text == "signature_missing"
    answer = await service.webhook(b"{}", content=b"{ }")
    assert (answer.status_code, answer.text) == (401, "signature_wrong")
    assert service.counts == {"signature_wrong": 2, "signature_missing": 1}
    assert await service.is_empty()


async def test_a_refusal_is_logged_without_the_message(service: Service) -> None:
    with capture_logs() as logs:
        await service.webhook(message_webhook(text="Dear Ada"), secret="of somebody else")
    [line] = logs
    assert line["event"] == "webhook.refused"
    assert line["vendor"] == VENDOR
    assert line["reason"] == "signature_wrong"
    assert "Ada" not in str(logs)


async def test_nothing_unsigned_makes_work_for_php(service: Service, php: Php) -> None:
    for number in range(5):
        assert (
            await service.webhook(b"{}", secret=None, vendor_uid=f"v{number}")
        ).status_code == 401
    assert php.calls == []


async def test_where_signatures_are_only_reported(make_service: MakeService) -> None:
    service = await make_service(webhook_signature="report")
    with capture_logs() as logs:
        assert (await service.webhook(b"1", secret="of somebody else")).status_code == 200
        assert (await service.webhook(b"2", secret=None)).status_code == 200
    assert (await service.webhook(b"3")).status_code == 200
    assert await service.bodies() == [b"1", b"2", b"3"]
    assert service.counts == {"signature_wrong_accepted": 2}
    assert [line["event"] for line in logs] == ["webhook.signature_invalid"] * 2


async def test_a_vendors_own_secrets(service: Service, php: Php) -> None:
    php.add_vendor(VENDOR, "an-older-one", OWN_SECRET)
    for secret in ("an-older-one", OWN_SECRET, trust.APP_SECRET):
        assert (await service.webhook(b"{}", secret=secret)).status_code == 200
    php.add_vendor("other")
    assert (await service.webhook(b"{}", secret=OWN_SECRET, vendor_uid="other")).status_code == 401


async def test_an_empty_secret_of_a_vendor_signs_nothing(service: Service, php: Php) -> None:
    php.add_vendor(VENDOR, "")
    assert (await service.webhook(b"{}", secret="")).status_code == 401


async def test_secrets_are_rotated(make_service: MakeService, php: Php) -> None:
    service = await make_service(app_secrets=["new", "old"])
    for secret in ("new", "old"):
        assert (await service.webhook(b"{}", secret=secret)).status_code == 200
    assert (await service.webhook(b"{}", secret=trust.APP_SECRET)).status_code == 401


# -- size ----------------------------------------------------------------------------------------


async def test_a_body_over_the_limit(make_service: MakeService) -> None:
    service = await make_service(webhook_body_limit_bytes=2000)
    assert (await service.webhook(bytes(2000))).status_code == 200
    answer = await service.webhook(bytes(2001))
    assert (answer.status_code, answer.text) == (413, "body_too_large")
    assert service.counts == {"body_too_large": 1}
    assert len(await service.bodies()) == 1


async def test_a_body_over_the_limit_that_does_not_say_so(make_service: MakeService) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 500
            yield bytes(500)

    service = await make_service(webhook_body_limit_bytes=2000)
    answer = await service.webhook(b"", content=endless())
    assert answer.status_code == 413
    assert read <= 3000
    assert await service.is_empty()


@pytest.mark.parametrize("length", ["abc", "-5", "", "1_0", "²", "1e3", "0x10"])
async def test_a_content_length_that_is_no_number(service: Service, length: str) -> None:
    answer = await service.client.post(
        f"/webhook/{VENDOR}",
        content=b"{}",
        headers={
            SIGNATURE_HEADER.encode(): sign(trust.APP_SECRET.encode(), b"{}").encode(),
            b"Content-Length": length.encode(),
        },
    )
    assert answer.status_code == 200


async def test_a_content_length_of_thousands_of_digits(service: Service) -> None:
    answer = await service.webhook(b"{}", headers={"Content-Length": "9" * 5000})
    assert answer.status_code == 413


async def test_a_body_that_breaks_off_is_not_kept(make_service: MakeService) -> None:
    """Not even where signatures are only reported."""
    service = await make_service(webhook_signature="report")
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"entry": [', "more_body": True},
        {"type": "http.disconnect"},
    ]
    answered: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "headers": [], "path_params": {"vendor_uid": VENDOR}}
    await service.endpoint(scope, receive, send)
    assert answered[0]["status"] == 400
    assert service.counts == {"body_broken_off": 1}
    assert await service.is_empty()
