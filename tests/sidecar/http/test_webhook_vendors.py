"""What a webhook gets that depends on others: on what PHP says of its vendor, and on Redis."""

import asyncio

import pytest
from structlog.testing import capture_logs

from contracts.cloud_api.webhook import SIGNATURE_HEADER
from sidecar.http import webhook
from sidecar.inbox.store import WEBHOOK_BYTES
from sidecar.php import vendors
from tests.eventually import eventually
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.conftest import MakeService
from tests.sidecar.service import VENDOR, Service

OWN_SECRET = "secret-of-the-vendors-own-app"

MADE_UP = {SIGNATURE_HEADER: f"sha256={'0' * 64}"}

# -- vendors -------------------------------------------------------------------------------------


async def test_an_unknown_vendor_is_asked_for_once(make_service: MakeService, php: Php) -> None:
    service = await make_service(vendor_unknown_ttl_s=0.4)
    answers = await asyncio.gather(*(service.webhook(b"{}", vendor_uid="nobody") for _ in range(9)))
    answers.append(await service.webhook(b"{}", vendor_uid="nobody"))
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, "vendor_unknown")}
    assert len(php.asked("/internal/vendor-config")) == 1
    assert await service.is_empty()

    php.add_vendor("nobody")

    async def taken() -> bool:
        return (await service.webhook(b"{}", vendor_uid="nobody")).status_code == 200

    await eventually(taken, every_s=0.05)


async def test_a_known_vendor_is_asked_for_once(service: Service, php: Php) -> None:
    await asyncio.gather(*(service.webhook(b"{}") for _ in range(20)))
    await service.webhook(b"{}")
    assert len(php.asked("/internal/vendor-config")) == 1
    assert len(await service.bodies()) == 21


@pytest.mark.parametrize("status", [500, 502, 503, 401, 404])
async def test_a_webhook_is_kept_while_php_is_ill(service: Service, php: Php, status: int) -> None:
    php.override = lambda call: refusal(status, "ill")
    assert (await service.webhook(b"{}", vendor_uid="nobody")).status_code == 200
    assert await service.bodies(vendor_uid="nobody") == [b"{}"]


async def test_a_webhook_is_kept_while_php_is_down(service: Service, php: Php) -> None:
    await php.stop()
    with capture_logs() as logs:
        for number in range(20):
            answer = await service.webhook(b"{}", vendor_uid=f"v{number}")
            assert answer.status_code == 200
    assert len([line for line in logs if line["log_level"] != "info"]) == 1


async def test_a_webhook_is_kept_while_php_hangs(
    service: Service, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "VENDOR_WAIT_S", 0.1)
    php.open.clear()
    assert (await service.webhook(b"{}")).status_code == 200
    assert await service.bodies() == [b"{}"]
    php.open.set()


async def test_while_php_is_down_an_unknown_secret_is_nobodys_fault(
    service: Service, php: Php
) -> None:
    """Nothing can be said about the signature, so whoever brings the webhook tries again."""
    await php.stop()
    answer = await service.webhook(b"{}", secret=OWN_SECRET)
    assert (answer.status_code, answer.text) == (503, "secrets_unavailable")
    assert answer.headers["x-sidecar-proxied"] == "1", "nginx would ask PHP about each"
    assert (await service.webhook(b"{}", secret=None)).status_code == 401
    assert await service.is_empty()


async def test_secrets_that_were_known_serve_on_while_php_is_down(
    make_service: MakeService, php: Php
) -> None:
    service = await make_service(vendor_config_ttl_s=1)
    php.add_vendor(VENDOR, OWN_SECRET)
    assert (await service.webhook(b"{}", secret=OWN_SECRET)).status_code == 200
    await php.stop()
    await service.call("POST", "/internal/invalidate")
    for _ in range(3):
        assert (await service.webhook(b"{}", secret=OWN_SECRET)).status_code == 200


@pytest.mark.parametrize("php_status", [200, 500])
async def test_made_up_uids_with_a_made_up_signature(
    make_service: MakeService, php: Php, monkeypatch: pytest.MonkeyPatch, php_status: int
) -> None:
    """They cost PHP a few requests, and keep no vendor away that is known or vouched for."""
    monkeypatch.setattr(webhook, "VENDOR_WAIT_S", 30.0)  # of a busy machine too
    service = await make_service(vendor_config_ttl_s=1)
    php.add_vendor(VENDOR, OWN_SECRET)
    assert (await service.webhook(b"{}", secret=OWN_SECRET)).status_code == 200
    php.override = lambda call: refusal(500, "ill") if php_status == 500 else None
    before = len(php.asked("/internal/vendor-config"))

    async def attack(number: int) -> int:
        options = {"vendor_uid": f"made-up-{number}", "secret": None, "headers": MADE_UP}
        return (await service.webhook(b"{}", **options)).status_code  # type: ignore[arg-type]

    statuses = await asyncio.gather(*(attack(number) for number in range(200)))
    assert set(statuses) == {401 if php_status == 200 else 503}
    assert len(php.asked("/internal/vendor-config")) - before <= 10
    assert (await service.webhook(b"{}", secret=OWN_SECRET)).status_code == 200
    assert (await service.webhook(b"{}", vendor_uid="nobody")).status_code in (200, 404)


@pytest.mark.parametrize("signature", ["sha256=abc", "0" * 64, f"sha1={'0' * 64}", "é"])
async def test_a_signature_that_no_secret_can_have_made(
    service: Service, php: Php, signature: str
) -> None:
    headers = {SIGNATURE_HEADER.encode(): signature.encode()}
    answer = await service.client.post("/webhook/made-up", content=b"{}", headers=headers)
    assert (answer.status_code, answer.text) == (401, "signature_wrong")
    assert php.calls == []


async def test_more_uids_than_may_be_asked_about(
    make_service: MakeService, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that could be genuine come again."""
    monkeypatch.setattr(vendors, "MAX_STRANGERS", 3)
    service = await make_service(webhook_signature="report")
    answers = await asyncio.gather(
        *(service.webhook(b"{}", vendor_uid=f"v{n}", secret=OWN_SECRET) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [404, 404, 404, 503, 503]
    assert service.counts["too_many_unknown_vendors"] == 2


async def test_vendors_that_have_come_before_are_known_from_the_start(
    make_service: MakeService, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await make_service()
    php.add_vendor(VENDOR, OWN_SECRET)
    assert (await first.webhook(b"{}", secret=OWN_SECRET)).status_code == 200
    monkeypatch.setattr(vendors, "MAX_STRANGERS", 0)
    await php.stop()
    second = await make_service()
    answer = await second.webhook(b"{}", secret=OWN_SECRET)
    assert (answer.status_code, answer.text) == (503, "secrets_unavailable")
    assert "x-sidecar-proxied" not in answer.headers, "PHP is to have it"
    await php.start()
    second = await make_service()
    assert (await second.webhook(b"{}", secret=OWN_SECRET)).status_code == 200
    answer = await second.webhook(b"{}", vendor_uid="made-up", secret=OWN_SECRET)
    assert (answer.status_code, answer.text) == (503, "too_many_unknown_vendors")
    assert answer.headers["x-sidecar-proxied"] == "1"


@pytest.mark.parametrize(
    "uid",
    [
        "%76%00",
        "a%2Fb",
        "a/b",
        "..",
        "%2E%2E",
        "v%20",
        "%C3%BC",
        "%FF",
        "x" * 65,
        "x" * 1000,
        "v.1",
    ],
)
async def test_what_can_be_no_vendor_is_not_asked_for(service: Service, php: Php, uid: str) -> None:
    for method in ("POST", "GET"):
        answer = await service.client.request(method, f"/webhook/{uid}", content=b"{}")
        assert answer.status_code == 404
    assert php.calls == []
    assert await service.is_empty()


async def test_a_vendor_whose_uid_came_percent_encoded(service: Service) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in VENDOR)
    assert (await service.webhook(b"{}", vendor_uid=encoded)).status_code == 200
    assert await service.bodies() == [b"{}"]


# -- Redis ---------------------------------------------------------------------------------------


async def test_without_redis(make_service: MakeService) -> None:
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    with capture_logs() as logs:
        for _ in range(10):
            answer = await service.webhook(b"{}")
            assert (answer.status_code, answer.text) == (503, "inbox_unavailable")
    assert service.counts == {"inbox_unavailable": 10}
    warnings = [line for line in logs if line["event"] == "inbox.unavailable"]
    assert len(warnings) == 1
    assert "127.0.0.1:9" in warnings[0]["reason"]


async def test_without_redis_what_is_wrong_is_refused_as_ever(make_service: MakeService) -> None:
    service = await make_service(redis_url="redis://127.0.0.1:9/0")
    assert (await service.webhook(b"{}", secret=None)).status_code == 401
    assert (await service.webhook(b"{}", vendor_uid="nobody")).status_code == 404


async def test_the_counter_of_received_webhooks(service: Service) -> None:
    await asyncio.gather(*(service.webhook(b"{}") for _ in range(3)))
    stored = 3 * (len(b"{}") + WEBHOOK_BYTES)
    assert await service.redis.hgetall(f"count:{VENDOR}") == {
        b"webhooks_received": b"3",
        b"stored_bytes": b"%d" % stored,
    }
