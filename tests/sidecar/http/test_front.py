"""Which requests go to the webhook endpoint without Starlette's router."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.http.front import Front
from tests.sidecar.conftest import MakeService
from tests.sidecar.service import VENDOR, Service


def scope(path: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    headers = [(b"content-length", b"2")]
    return {"type": "http", "method": method, "path": path, "headers": headers, **more}


@pytest.mark.parametrize(
    ("request_", "is_taken"),
    [
        (scope(f"/webhook/{VENDOR}"), True),
        (scope(f"/whatsapp-webhook/{VENDOR}"), True),
        (scope(f"/webhook/{VENDOR}", "GET"), False),
        (scope(f"/webhook/{VENDOR}", "HEAD"), False),
        (scope("/webhook/"), False),
        (scope("/webhook"), False),
        (scope("/"), False),
        (scope(f"/webhook/{VENDOR}/"), False),
        (scope(f"/webhook/{VENDOR}/more"), False),
        (scope(f"/shadow/webhook/{VENDOR}"), False),
        (scope(f"/webhook/{VENDOR}", root_path="/below"), False),
        ({"type": "lifespan"}, False),
        ({"type": "websocket", "path": f"/webhook/{VENDOR}"}, False),
    ],
)
async def test_which_requests_are_webhooks(
    service: Service, request_: dict[str, Any], is_taken: bool
) -> None:
    assert isinstance(service.app, Front)
    assert (service.app.direct(request_) is not None) is is_taken


@pytest.mark.parametrize(
    ("length", "is_taken"),
    [
        (b"0", True),
        (b"65536", True),
        (b"65537", False),
        (b"", False),
        (b"-1", False),
        (b"1" * 30, False),
        (None, False),
    ],
)
async def test_which_lengths_are_taken(
    service: Service, length: bytes | None, is_taken: bool
) -> None:
    headers = [] if length is None else [(b"content-length", length)]
    request = {**scope(f"/webhook/{VENDOR}"), "headers": headers}
    assert (service.app.direct(request) is not None) is is_taken


async def test_no_more_than_the_limit_is_taken(make_service: MakeService) -> None:
    service = await make_service(webhook_body_limit_bytes=1024)
    for length, is_taken in ((b"1024", True), (b"1025", False)):
        request = {**scope(f"/webhook/{VENDOR}"), "headers": [(b"content-length", length)]}
        assert (service.app.direct(request) is not None) is is_taken


async def test_an_encoded_body_is_not_taken(service: Service) -> None:
    request = scope(f"/webhook/{VENDOR}")
    request["headers"].append((b"content-encoding", b"gzip"))
    assert service.app.direct(request) is None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"/webhook/{VENDOR}", 401),
        ("PUT", f"/webhook/{VENDOR}", 405),
        ("POST", f"/webhook/{VENDOR}/", 404),
        ("POST", "/webhook/", 404),
        ("POST", "/webhook/no.vendor", 404),
    ],
)
async def test_everything_is_answered(
    service: Service, method: str, path: str, status: int
) -> None:
    with capture_logs():
        answer = await service.client.request(method, path, content=b"{}")
    assert answer.status_code == status
