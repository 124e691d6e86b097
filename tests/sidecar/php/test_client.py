"""Calls to PHP: how they are signed, and what is concluded from how they end."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts import backend as contract
from contracts.signing import Audience, Signer, Verifier
from sidecar.php.client import (
    IN_MAINTENANCE,
    Backend,
    BackendError,
    BackendFailed,
    BackendMissing,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
    encode,
)
from sidecar.spans import linked, named
from sidecar.trace import id_of, tracing
from simulator.ports import free_ports
from tests import trust
from tests.collector import recording

SECRET = trust.SIGNING_SECRET
TEXT = "Dear Ada, your code is 471100"
BUSY = '{"error": {"code": "busy", "message": "no"}}'
PATH = contract.VENDOR_CONFIG
REQUEST = contract.VendorConfigRequest(vendor_uids=["v"])


@pytest.fixture
async def make_backend() -> AsyncIterator["MakeBackend"]:
    make = MakeBackend()
    yield make
    for backend in make.made:
        await backend.close()


class MakeBackend:
    def __init__(self) -> None:
        self.made: list[Backend] = []

    def __call__(self, url: str, timeout_s: float = 5.0) -> Backend:
        backend = Backend(
            url, Signer(Audience.BACKEND, trust.KEY_ID, SECRET.encode()), timeout_s=timeout_s
        )
        self.made.append(backend)
        return backend


async def ask(backend: Backend, **options: float) -> contract.VendorConfigAnswer:
    return await backend.call(PATH, REQUEST, contract.VendorConfigAnswer, **options)


async def failure(backend: Backend, kind: type[BackendError]) -> BackendError:
    """Ask, and return the error, which must be of this kind and tell no secrets."""
    with pytest.raises(BackendError) as raised:
        await ask(backend)
    assert type(raised.value) is kind
    text = f"{raised.value} {raised.value!r}"
    assert SECRET not in text
    assert TEXT not in text
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value


# -- answers -------------------------------------------------------------------------------------


async def test_an_answer(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    answer = {"vendors": [{"vendor_uid": "v", "new": 1}], "unknown": []}
    httpserver.expect_request(PATH, method="POST").respond_with_json(answer)
    found = await ask(make_backend(httpserver.url_for("")))
    assert [vendor.vendor_uid for vendor in found.vendors] == ["v"]


async def test_an_answer_of_any_size(
    httpserver: HTTPServer, make_backend: MakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more of it is kept than an answer may have."""
    monkeypatch.setattr("sidecar.php.client.MAX_ANSWER_BYTES", 100_000)
    answers = {"vendors": [], "unknown": ["x" * 99_900]}
    httpserver.expect_ordered_request(PATH).respond_with_json(answers)
    httpserver.expect_ordered_request(PATH).respond_with_json({**answers, "more": "x" * 100})
    backend = make_backend(httpserver.url_for(""))
    assert await ask(backend)
    assert "100000 bytes" in str(await failure(backend, BackendFailed))


def test_a_reason_of_any_length_is_cut() -> None:
    result = contract.UpdateResult(id="u", result="retry", reason="x" * 10_000)
    assert result.reason == "x" * 500


async def test_connections_are_kept(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    backend = make_backend(httpserver.url_for(""))
    await ask(backend)
    session = backend.session
    await ask(backend)
    assert backend.session is session
    await backend.close()
    assert session.closed
    await ask(backend)
    await backend.close()
    await backend.close()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (429, TEXT, "answered 429"),
        (503, TEXT, "answered 503: in maintenance, or too busy"),
        (503, BUSY, "answered 503: in maintenance, or too busy"),
    ],
)
async def test_php_is_overloaded(
    httpserver: HTTPServer, make_backend: MakeBackend, status: int, body: str, why: str
) -> None:
    """503 is no refusal, whatever it says."""
    httpserver.expect_request(PATH).respond_with_data(body, status=status)
    error = await failure(make_backend(httpserver.url_for("")), BackendUnavailable)
    assert str(error) == f"{PATH} {why}"


async def test_php_is_in_maintenance(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    body = {"error": {"code": "maintenance", "message": "php artisan up ends it"}}
    httpserver.expect_request(PATH).respond_with_json(body, status=503)
    error = await failure(make_backend(httpserver.url_for("")), BackendUnavailable)
    assert str(error) == f"{IN_MAINTENANCE}: {PATH} answered 503"


async def test_what_stands_in_front_of_php_got_no_answer_in_time(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    httpserver.expect_request(PATH).respond_with_data(TEXT, status=504)
    error = await failure(make_backend(httpserver.url_for("")), BackendTimedOut)
    assert str(error) == f"{PATH} answered 504"


@pytest.mark.parametrize(
    ("status", "content_type"),
    [(500, "text/html"), (500, "application/json"), (204, ""), (201, ""), (302, ""), (404, "")],
)
async def test_an_error_page(
    httpserver: HTTPServer, make_backend: MakeBackend, status: int, content_type: str
) -> None:
    page = f"<html><!-- {TEXT} {SECRET} -->" if status != 204 else ""
    headers = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request(PATH).respond_with_data(
        page, status=status, content_type=content_type, headers=headers
    )
    kind = BackendMissing if status == 404 else BackendFailed
    error = await failure(make_backend(httpserver.url_for("")), kind)
    assert str(error) == f"{PATH} answered {status}; PHP's log says why"
    assert [request.path for request, _ in httpserver.log] == [PATH]


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "{", "null", "[]", "{}", '{"vendors": 5}', '{"vendors": [{}]}', "\ufeff{}"],
)
async def test_an_answer_of_another_shape(
    httpserver: HTTPServer, make_backend: MakeBackend, body: str
) -> None:
    httpserver.expect_request(PATH).respond_with_data(body, content_type="application/json")
    error = await failure(make_backend(httpserver.url_for("")), BackendFailed)
    assert "answered something else than documented" in str(error)


async def test_an_answer_of_another_shape_does_not_show_itself(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    vendor = {"vendor_uid": "v", "access_token": {"token": SECRET}, "app_secrets": TEXT}
    httpserver.expect_request(PATH).respond_with_json({"vendors": [vendor]})
    error = await failure(make_backend(httpserver.url_for("")), BackendFailed)
    assert "vendors.0.access_token" in str(error)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429])
async def test_a_refusal(httpserver: HTTPServer, make_backend: MakeBackend, status: int) -> None:
    answer = {"error": {"code": "fence_stale", "message": "somebody newer has it"}}
    httpserver.expect_request(PATH).respond_with_json(answer, status=status)
    error = await failure(make_backend(httpserver.url_for("")), BackendRefused)
    assert isinstance(error, BackendRefused)
    assert (error.status, error.code) == (status, "fence_stale")
    assert str(error) == "fence_stale: somebody newer has it"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error": "no"}', b'{"error": {}}'])
async def test_a_refusal_without_a_reason_code_is_none(
    httpserver: HTTPServer, make_backend: MakeBackend, body: bytes
) -> None:
    """A proxy's 401 or 404 says nothing about what PHP thinks."""
    httpserver.expect_request(PATH).respond_with_data(body, status=404)
    await failure(make_backend(httpserver.url_for("")), BackendMissing)


# -- connections ---------------------------------------------------------------------------------


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a socket on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


async def test_nobody_listens(nobody: str, make_backend: MakeBackend) -> None:
    error = await failure(make_backend(nobody), BackendUnavailable)
    assert "cannot connect" in str(error)


async def test_a_host_that_does_not_exist(make_backend: MakeBackend) -> None:
    await failure(make_backend("http://php.invalid"), BackendUnavailable)


async def test_no_connection_comes_about(make_backend: MakeBackend) -> None:
    """Of one listener whose queue is full."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        error = await failure(make_backend(url, timeout_s=0.6), BackendUnavailable)
        assert "cannot connect" in str(error)


async def served(
    handle: str, make_backend: MakeBackend, kind: type[BackendError], timeout_s: float = 5.0
) -> BackendError:
    """Return the error where PHP's side of the connection behaves like this."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if handle == "hang":
            await reader.read()
        writer.write(handle.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        backend = make_backend(url, timeout_s)
        error = await failure(backend, kind)
        await backend.close()
    return error


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"vendors": [',
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["nothing", "no http", "half a head", "half a body", "half a chunk", "no gzip"],
)
async def test_an_answer_that_breaks_off(answer: str, make_backend: MakeBackend) -> None:
    error = await served(answer, make_backend, BackendFailed)
    assert str(error).startswith(f"{PATH}: ")


async def test_no_answer_in_time(make_backend: MakeBackend) -> None:
    error = await served("hang", make_backend, BackendTimedOut, timeout_s=0.2)
    assert str(error) == f"{PATH}: no answer in time"


async def test_a_time_limit_for_one_call(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    backend = make_backend(httpserver.url_for(""))
    assert await ask(backend, timeout_s=5.0)
    with pytest.raises(BackendError):
        await ask(backend, timeout_s=1e-9)


# -- signatures ----------------------------------------------------------------------------------


ANY = re.compile(".*")


@pytest.mark.parametrize("base", ["", "/", "/shop", "/shop/public/"])
@pytest.mark.parametrize("vendor_uid", ["v", "a b", "a/b", "a%2Fb", "ü😀", "?x=1#y", "a+b", "~"])
async def test_the_signature_covers_what_is_sent(
    httpserver: HTTPServer, make_backend: MakeBackend, base: str, vendor_uid: str
) -> None:
    bodies: list[bytes] = []

    def handle(request: Request) -> Response:
        target = request.environ["REQUEST_URI"]
        assert target.startswith(base.rstrip("/") + "/internal/process-webhook/")
        body = request.get_data()
        verifier = Verifier(Audience.BACKEND, {trust.KEY_ID: SECRET.encode()})
        assert verifier.verify("POST", target, dict(request.headers), body).key_id == trust.KEY_ID
        assert request.path.rpartition("/internal/process-webhook/")[2] == vendor_uid
        # Nobody but the receiver itself reads it, and not before it has checked the signature.
        assert request.headers["Content-Type"] == "application/octet-stream"
        assert request.headers.get("X-Hub-Signature-256") == "sha256=00"
        bodies.append(body)
        return Response('{"result": "done"}', content_type="application/json")

    httpserver.expect_request(ANY).respond_with_handler(handle)
    backend = make_backend(httpserver.url_for(base).rstrip("/"))
    raw = b'{"text": "gr\xc3\xbc\xc3\x9fe"} \xff\x00'
    answer = await backend.process_webhook(vendor_uid, raw, "sha256=00")
    assert answer.result == "done"
    assert bodies == [raw]


async def test_a_webhook_that_came_without_a_signature(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    httpserver.expect_request(ANY).respond_with_json({"result": "ignored"})
    backend = make_backend(httpserver.url_for(""))
    await backend.process_webhook("v", b"{}", "")
    [(request, _)] = httpserver.log
    assert "X-Hub-Signature-256" not in request.headers


class Piggybacked:
    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = [(7, 1_700_000_000_000)]
        self.arrived: list[int] = []

    def due(self) -> tuple[int, int] | None:
        return self.waiting.pop() if self.waiting else None

    def told(self, number: int) -> None:
        self.arrived.append(number)


@pytest.mark.parametrize(("status", "arrived"), [(200, [7]), (409, []), (500, [])])
async def test_a_claim_takes_a_number_along(
    httpserver: HTTPServer, make_backend: MakeBackend, status: int, arrived: list[int]
) -> None:
    """In its query, which is signed, and which a package from before that does not read."""
    backend = make_backend(httpserver.url_for("").rstrip("/"))
    backend.piggybacked = piggybacked = Piggybacked()
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    await ask(backend)

    def handle(request: Request) -> Response:
        target, body = request.environ["REQUEST_URI"], request.get_data()
        verifier = Verifier(Audience.BACKEND, {trust.KEY_ID: SECRET.encode()})
        assert verifier.verify("POST", target, dict(request.headers), body)
        return Response('{"rows": []}', status, content_type="application/json")

    httpserver.expect_request(contract.CLAIM_MESSAGES).respond_with_handler(handle)
    claim = contract.ClaimMessagesRequest(
        vendor_uid="v", campaign_uid="c", claim_uid="d", fence=1, limit=1
    )
    for _ in range(2):
        with suppress(BackendError):
            await backend.call(contract.CLAIM_MESSAGES, claim, contract.ClaimMessagesAnswer)
    targets = [request.environ["REQUEST_URI"] for request, _ in httpserver.log]
    claims = [contract.CLAIM_MESSAGES + "?epoch=7&at=1700000000000", contract.CLAIM_MESSAGES]
    assert targets == [PATH, *claims]
    assert piggybacked.arrived == arrived


async def test_a_call_names_the_trace_that_it_belongs_to(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    backend = make_backend(httpserver.url_for(""))
    with tracing(of="campaign"):
        await asyncio.gather(*(ask(backend) for _ in range(3)))
    await ask(backend)
    *of_campaign, alone = [request.headers["traceparent"] for request, _ in httpserver.log]
    assert {one.split("-")[1] for one in of_campaign} == {id_of("campaign")}
    assert len(set(of_campaign)) == 3
    assert alone.split("-")[1] != id_of("campaign")


async def test_a_call_is_the_span_that_php_was_told_of(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    backend, webhook = make_backend(httpserver.url_for("")), named("v/1-a/0")
    with recording() as spans, linked([webhook]):
        await ask(backend)
        httpserver.clear()
        httpserver.expect_request(PATH).respond_with_data(status=500)
        with pytest.raises(BackendFailed):
            await ask(backend)
        worked, failed = spans.take(9)
    [(request, _)] = httpserver.log
    assert request.headers["traceparent"] == "00-{}-{}-01".format(*failed.ids)
    assert (worked.name, worked.links, worked.error) == ("php vendor-config", [webhook], "")
    assert worked.ids != failed.ids
    assert failed.error.endswith("answered 500; PHP's log says why")


async def test_every_attempt_has_a_nonce_of_its_own(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    httpserver.expect_request(PATH).respond_with_json({"vendors": []})
    backend = make_backend(httpserver.url_for(""))
    await asyncio.gather(*(ask(backend) for _ in range(5)))
    assert len({request.headers["X-Sidecar-Nonce"] for request, _ in httpserver.log}) == 5


async def test_only_what_was_set_is_sent(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    httpserver.expect_request(contract.DUE_CAMPAIGNS).respond_with_json({"campaigns": []})
    backend = make_backend(httpserver.url_for(""))
    await backend.call(
        contract.DUE_CAMPAIGNS, contract.DueCampaignsRequest(limit=5), contract.DueCampaignsAnswer
    )
    [(request, _)] = httpserver.log
    assert request.get_data() == encode({"limit": 5})


# -- what it says went wrong --


SQL = (
    "SQLSTATE[22001]: String data, right truncated: 1406 Data too long for column 'first_name' at "
    "row 1 (SQL: insert into `contacts` (`first_name`) values (Dear Ada, your code is 471100))"
)
REDUCED = "SQLSTATE[22001] 1406 in contacts"


async def test_reasons_are_without_personal_data(
    httpserver: HTTPServer, make_backend: MakeBackend
) -> None:
    results = [
        {"id": "a", "result": "retry", "reason": SQL},
        {"id": "b", "result": "done"},
        {"id": "c", "result": "ignored", "reason": "own_number"},
    ]
    httpserver.expect_request(contract.PROCESS_WEBHOOKS).respond_with_json({"results": results})
    backend = make_backend(httpserver.url_for(""))
    answer = await backend.post(contract.PROCESS_WEBHOOKS, b"{}", contract.ProcessWebhooksAnswer)
    assert [one.reason for one in answer.results] == [REDUCED, None, "own_number"]
    whole = contract.PROCESS_WEBHOOK.format(vendor_uid="v")
    httpserver.expect_request(whole).respond_with_json({"result": "retry", "reason": SQL})
    assert (await backend.process_webhook("v", b"{}", "")).reason == REDUCED
    one = await backend.post(whole, b"{}", contract.ProcessWebhookAnswer)
    assert one.reason == REDUCED


async def test_so_are_refusals(httpserver: HTTPServer, make_backend: MakeBackend) -> None:
    body = {"error": {"code": "request_invalid", "message": SQL}}
    httpserver.expect_request(PATH).respond_with_json(body, status=400)
    error = await failure(make_backend(httpserver.url_for("")), BackendRefused)
    assert str(error) == f"request_invalid: {REDUCED}"


async def test_so_are_answers_that_are_no_http(make_backend: MakeBackend) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(TEXT.encode() + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await failure(make_backend(f"http://127.0.0.1:{port}"), BackendFailed)


@pytest.mark.parametrize(("status", "answers"), [(200, True), (401, True), (502, False)])
async def test_whether_php_answers_at_all(
    httpserver: HTTPServer, make_backend: MakeBackend, status: int, answers: bool
) -> None:
    httpserver.expect_request(PATH).respond_with_data("", status=status)
    backend = make_backend(httpserver.url_for(""))
    assert await backend.answers() is answers
    assert backend.failures.away_s() == 0, "it counts as no call"


async def test_nobody_answers(make_backend: MakeBackend) -> None:
    [port] = free_ports(1)
    assert not await make_backend(f"http://127.0.0.1:{port}").answers()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = make_backend(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not await backend.answers(timeout_s=0.1)
