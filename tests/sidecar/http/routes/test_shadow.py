"""``POST /shadow/webhook/{vendor_uid}``: where nginx mirrors webhooks to that go to PHP."""

import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from sidecar.clock import now_ms
from sidecar.metrics import METRICS, SHADOW_WEBHOOKS
from tests import trust
from tests.eventually import eventually
from tests.sidecar.answering_php import Php
from tests.sidecar.conftest import MakeService
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import VENDOR, Service
from tests.sidecar.shadow.test_recorder import recorded


def ignored() -> float:
    return METRICS.counter(SHADOW_WEBHOOKS, "ignored").value


@pytest.fixture
async def mirror(make_service: MakeService, php: Php) -> Service:
    php.vendors[VENDOR]["modes"] = {"webhooks": "shadow", "campaigns": "php", "bots": "php"}
    php.vendors["w"] = {"vendor_uid": "w", "modes": {"webhooks": "php"}}
    return await make_service()


async def post(
    service: Service, body: bytes, vendor_uid: str = VENDOR, secret: str | None = trust.APP_SECRET
) -> None:
    headers = {SIGNATURE_HEADER: sign(secret.encode(), body)} if secret else {}
    answer = await service.client.post(
        f"/shadow/webhook/{vendor_uid}", content=body, headers=headers
    )
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_mirrored_webhook_is_recorded(mirror: Service) -> None:
    body = message_webhook(1)

    async def arrived() -> bool:
        await post(mirror, body)  # PHP is asked for the vendor beside the first one
        return bool(await recorded(mirror.redis))

    await eventually(arrived)
    (at, found), *_ = await recorded(mirror.redis)
    assert found == body
    assert abs(now_ms() - at) < 60_000
    assert await mirror.bodies() == [], "PHP handles it, and nobody else"


@pytest.mark.parametrize(
    ("vendor_uid", "secret"),
    [("w", trust.APP_SECRET), ("nobody", trust.APP_SECRET), (VENDOR, "wrong"), (VENDOR, None)],
    ids=["php", "unknown", "wrongly signed", "unsigned"],
)
async def test_what_is_not_in_shadow_is_ignored(
    mirror: Service, php: Php, vendor_uid: str, secret: str | None
) -> None:
    await post(mirror, b"{}", vendor_uid, secret)
    await eventually(lambda: len(php.asked("/internal/vendor-config")) == 1)
    await post(mirror, b"{}", VENDOR)
    before = ignored()
    await post(mirror, b'{"ignored": true}', vendor_uid, secret)
    assert ignored() == before + 1
    await mirror.app.state.shadow.close()
    assert b'{"ignored": true}' not in [body for _, body in await recorded(mirror.redis)]
    assert await recorded(mirror.redis, "w") == []


async def test_php_is_not_asked_for_what_names_no_vendor(mirror: Service, php: Php) -> None:
    await post(mirror, b"{}", "a.b")
    await post(mirror, b"{}", "x" * 65)
    assert php.calls == []


async def test_a_body_over_the_limit_is_ignored(make_service: MakeService, php: Php) -> None:
    php.vendors[VENDOR]["modes"] = {"webhooks": "shadow"}
    service = await make_service(webhook_body_limit_bytes=1024)
    await post(service, b"{}")
    await eventually(lambda: len(php.asked("/internal/vendor-config")) == 1)
    await post(service, b" " * 1025)
    await service.app.state.shadow.close()
    assert all(len(body) < 1024 for _, body in await recorded(service.redis))
