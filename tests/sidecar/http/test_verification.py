"""Meta's verification of the address: through PHP, and without it."""

from urllib.parse import urlencode

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import verify_token
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR, Service


def query(challenge: str = "1158201444", token: str = verify_token(VENDOR)) -> str:
    values = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": token}
    return urlencode(values)


@pytest.mark.parametrize("path", ["/webhook", "/whatsapp-webhook"])
async def test_php_verifies(service: Service, php: Php, path: str) -> None:
    answer = await service.request("GET", f"{path}/{VENDOR}?{query()}")
    assert (answer.status_code, answer.text) == (200, "1158201444")
    [call] = php.calls
    assert call.method == "GET"
    assert call.target == f"/whatsapp-webhook/{VENDOR}?{query()}"


async def test_php_refuses(service: Service, php: Php) -> None:
    answer = await service.request("GET", f"/webhook/{VENDOR}?{query(token='wrong')}")
    assert (answer.status_code, answer.text) == (403, "Forbidden")
    assert len(php.calls) == 1


async def test_php_has_the_last_word(service: Service, php: Php) -> None:
    """It knows whether the vendor exists; the rule of the token does not."""
    target = f"/webhook/nobody?{query(token=verify_token('nobody'))}"
    assert (await service.request("GET", target)).status_code == 403
    php.override = lambda call: web.Response(status=404, text="no such vendor")
    answer = await service.request("GET", target)
    assert (answer.status_code, answer.text) == (404, "no such vendor")


@pytest.mark.parametrize(
    "raw",
    [
        "hub.challenge=a%2Bb+c%26d&hub.mode=subscribe",
        "a=%FF%00&&=&b",
        "x[]=1&x[]=2&y=%5B",
        "caf%C3%A9=~",
        "",
    ],
)
async def test_the_query_reaches_php_as_it_was_sent(service: Service, php: Php, raw: str) -> None:
    php.override = lambda call: web.Response(text="ok")
    await service.request("GET", f"/webhook/{VENDOR}?{raw}")
    assert php.calls[0].target.partition("?")[2] == raw


async def test_without_php_the_rule_of_the_token_decides(service: Service, php: Php) -> None:
    await php.stop()
    for challenge in ("1158201444", "a+b c&d=é", "<b>"):
        answer = await service.request("GET", f"/webhook/{VENDOR}?{query(challenge)}")
        assert (answer.status_code, answer.text) == (200, challenge)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for wrong in (
        query(token=""),
        query(token="wrong"),
        query(token=verify_token(VENDOR).upper()),
        query(token=verify_token("somebody-else")),
        query(token="ü"),
        query(challenge=""),
        "",
        "hub.verify_token",
        "%FF=%FF",
    ):
        answer = await service.request("GET", f"/webhook/{VENDOR}?{wrong}")
        assert (answer.status_code, answer.text) == (403, "verify_token_wrong")


async def test_the_installations_own_webhook_without_php(service: Service, php: Php) -> None:
    await php.stop()
    target = f"/webhook/service-whatsapp?{query(token=verify_token('service-whatsapp'))}"
    assert (await service.request("GET", target)).text == "1158201444"


@pytest.mark.parametrize("status", [302, 400, 429, 500, 503])
async def test_while_php_is_ill_the_rule_of_the_token_decides(
    service: Service, php: Php, status: int
) -> None:
    php.override = lambda call: web.Response(
        status=status, headers={"Location": "/login"}, text="<h1>Whoops</h1>"
    )
    with capture_logs() as logs:
        answer = await service.request("GET", f"/webhook/{VENDOR}?{query()}")
        assert (answer.status_code, answer.text) == (200, "1158201444")
        answer = await service.request("GET", f"/webhook/{VENDOR}?{query(token='wrong')}")
        assert answer.status_code == 403
    assert [line["event"] for line in logs] == ["verification.php_unavailable"] * 2
    assert all(line["reason"] == f"PHP answered {status}" for line in logs)


async def test_head_is_like_get(service: Service, php: Php) -> None:
    await php.stop()
    answer = await service.client.head(f"/webhook/{VENDOR}?{query()}")
    assert answer.status_code == 200


async def test_other_methods(service: Service, php: Php) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await service.client.request(method, f"/webhook/{VENDOR}")
        assert answer.status_code == 405
    assert php.calls == []
