"""The way of Meta's webhooks, from the public address on."""

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts.cloud_api.webhook import verify_token
from sidecar.commands.checks.basic import NOBODY
from sidecar.commands.checks.line import Line
from sidecar.commands.checks.public import check_public
from tests.sidecar.commands.checks.lines import levels, named

VENDOR = "7d9c1a52-4b0e-4c57-9a3e-2f6b8c1d0e11"
SIDECAR = "webhooks from the public address"
PHP = "verification from the public address"


@pytest.fixture
def nginx(httpserver: HTTPServer) -> HTTPServer:
    """The sidecar and PHP behind it, when all is well."""

    def verify(request: Request) -> Response:
        uid = request.path.rpartition("/")[2]
        right = request.args["hub.verify_token"] == verify_token(uid)
        assert request.args["hub.mode"] == "subscribe"
        if uid != VENDOR or not right:
            return Response("Forbidden", 403)
        return Response(request.args["hub.challenge"])

    for uid in (NOBODY, VENDOR):
        httpserver.expect_request(f"/webhook/{uid}", method="GET").respond_with_handler(verify)
    refusal = Response("signature_missing", 401)
    httpserver.expect_request(f"/webhook/{NOBODY}", method="POST").respond_with_response(refusal)
    return httpserver


async def look(url: str, vendor_uid: str | None = None) -> list[Line]:
    return [line async for line in check_public(url.rstrip("/"), vendor_uid)]


@pytest.mark.parametrize("vendor_uid", [None, VENDOR])
async def test_all_is_well(nginx: HTTPServer, vendor_uid: str | None) -> None:
    assert levels(await look(nginx.url_for(""), vendor_uid)) == {SIDECAR: "OK", PHP: "OK"}
    nginx.check_assertions()
    asked = [request for request, _ in nginx.log if request.method == "GET"]
    right = verify_token(vendor_uid or NOBODY)
    assert [one.args["hub.verify_token"] == right for one in asked] == [vendor_uid is not None]


async def test_a_vendor_that_does_not_exist(nginx: HTTPServer) -> None:
    nginx.expect_request("/webhook/x", method="GET").respond_with_data("Forbidden", 403)
    line = named(await look(nginx.url_for(""), "x"), PHP)
    assert (line.level, "403 'Forbidden'" in line.detail) == ("FAIL", True)


@pytest.mark.parametrize(
    ("status", "text"),
    [(401, "Unauthorized"), (200, "done"), (404, "<html>"), (502, "Bad Gateway")],
)
async def test_it_is_not_the_sidecar(httpserver: HTTPServer, status: int, text: str) -> None:
    httpserver.expect_request(f"/webhook/{NOBODY}", method="POST").respond_with_data(text, status)
    httpserver.expect_request(f"/webhook/{NOBODY}", method="GET").respond_with_data("no", 403)
    lines = await look(httpserver.url_for(""))
    assert levels(lines) == {SIDECAR: "FAIL", PHP: "OK"}
    assert str(status) in named(lines, SIDECAR).detail


@pytest.mark.parametrize(
    ("status", "text", "level"),
    [(403, "verify_token_wrong", "WARN"), (200, "hello", "FAIL"), (500, "Server Error", "FAIL")],
)
async def test_php_does_not_answer_as_it_should(
    httpserver: HTTPServer, status: int, text: str, level: str
) -> None:
    ours = Response("vendor_unknown", 404)
    httpserver.expect_request(f"/webhook/{NOBODY}", method="POST").respond_with_response(ours)
    httpserver.expect_request(f"/webhook/{NOBODY}", method="GET").respond_with_data(text, status)
    assert levels(await look(httpserver.url_for(""))) == {SIDECAR: "OK", PHP: level}


async def test_nobody_is_there() -> None:
    [line] = await look("http://127.0.0.1:9")
    assert (line.what, line.level) == ("public address", "FAIL")
    assert "that nginx runs" in (line.do or "")
