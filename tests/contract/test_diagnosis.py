"""``diagnosis``: how PHP's side is set up, what waits, and the way from there to the sidecar."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp.web
import pytest

from contracts import backend as contract
from contracts.diagnosis import COLUMNS, INDEXES, CallBack, DiagnosisAnswer, Waiting
from contracts.sidecar_api import PING, PingAnswer
from contracts.signing import Audience, SignatureRefused, Verifier
from tests.contract.caller import Caller
from tests.contract.installed import InstalledBackend
from tests.contract.payloads import now_ms
from tests.contract.under_test import BackendUnderTest, Vendor

LONG_AGO, LONG_AGO_MS = "2001-01-01 00:00:00", 978_307_200_000
ANSWER = PingAnswer(version="1.2.3", now=1, known=True)

Respond = Callable[[aiohttp.web.Request, bytes], aiohttp.web.Response]


async def _ask(caller: Caller, **request: Any) -> DiagnosisAnswer:
    answer = await caller.call(contract.DIAGNOSIS, request)
    return DiagnosisAnswer.model_validate(answer)


def _of(waiting: list[Waiting], vendor: Vendor) -> list[int]:
    return [one.oldest_at for one in waiting if one.vendor_uid == vendor.uid]


async def test_how_it_is_set_up(caller: Caller) -> None:
    before = now_ms()
    answer = await _ask(caller)
    after = now_ms()
    assert before <= answer.now <= after
    # Not to the millisecond: the database's clock is read with another precision.
    assert before - 5 <= answer.database.now <= after + 5
    assert answer.php.signing_key_ids == list(caller.backend.keys)
    assert answer.php.signing_window_s == 300
    assert answer.php.package
    assert answer.php.php
    assert answer.database.version
    assert answer.database.product in ("mariadb", "mysql", "sqlite")
    assert answer.errors == []
    assert answer.call_back is None
    for secret in caller.backend.keys.values():
        assert secret.decode() not in answer.model_dump_json()


async def test_tables_have_the_columns_that_are_used(caller: Caller) -> None:
    tables = {table.name: table for table in (await _ask(caller)).tables}
    assert tables.keys() == COLUMNS.keys()
    for name, columns in COLUMNS.items():
        assert set(columns) <= set(tables[name].columns), name
        wanted = INDEXES.get(name, {})
        if tables[name].indexes is not None:
            assert {key: tuple(tables[name].indexes[key]) for key in wanted} == wanted  # type: ignore[index]


async def test_vendors_whose_rows_are_due(caller: Caller, vendor: Vendor) -> None:
    assert _of((await _ask(caller)).due, vendor) == []
    later = caller.backend.seed_campaign(vendor, 1, scheduled_at=now_ms() + 3_600_000)
    paused = caller.backend.seed_campaign(vendor, 1, scheduled_at=LONG_AGO_MS)
    await caller.release(paused, campaign_state="paused")
    assert _of((await _ask(caller)).due, vendor) == []
    due = caller.backend.seed_campaign(vendor, 2, scheduled_at=LONG_AGO_MS + 5000)
    caller.backend.seed_campaign(vendor, 1)
    assert _of((await _ask(caller)).due, vendor) == [LONG_AGO_MS + 5000]
    for campaign in (due, later, paused):
        caller.backend.delete("whatsapp_message_queue", campaigns__id=campaign.id)


async def test_vendors_that_are_phps_are_told_too(caller: Caller, vendor: Vendor) -> None:
    caller.backend.leave_to_php(vendor)
    campaign = caller.backend.seed_campaign(vendor, 1, scheduled_at=LONG_AGO_MS)
    assert _of((await _ask(caller)).due, vendor) == [LONG_AGO_MS]
    caller.backend.delete("whatsapp_message_queue", campaigns__id=campaign.id)


async def test_vendors_whose_webhooks_wait(caller: Caller, vendor: Vendor) -> None:
    table = "whatsapp_webhook_queue"
    caller.backend.delete(table)
    assert (await _ask(caller)).pending_webhooks == []
    stored = [
        {"id": f"{vendor.uid}-{n}", "vendor_uid": vendor.uid, "received_at": at, "headers": {}}
        for n, at in enumerate([LONG_AGO_MS + 9000, LONG_AGO_MS])
    ]
    webhooks = [{**webhook, "body": "{}"} for webhook in stored]
    await caller.call(contract.STORE_WEBHOOKS, {"webhooks": webhooks})
    assert _of((await _ask(caller)).pending_webhooks, vendor) == [LONG_AGO_MS]
    caller.backend.change(table, {"status": "failed"}, created_at=LONG_AGO)
    assert _of((await _ask(caller)).pending_webhooks, vendor) == [LONG_AGO_MS + 9000]
    caller.backend.delete(table)


# -- PHP calls back --


class Sidecar:
    """Where PHP looks for the sidecar."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.respond: Respond = lambda request, body: aiohttp.web.Response(
            text=ANSWER.model_dump_json()
        )


@pytest.fixture
async def sidecar(backend: BackendUnderTest) -> AsyncIterator[Sidecar]:
    """Checks signatures, and answers as a test wants."""
    it = Sidecar()
    verifier = Verifier(Audience.SIDECAR, backend.keys)

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        body = await request.read()
        try:
            verifier.verify("POST", request.path_qs, request.headers, body)
        except SignatureRefused as refused:
            return aiohttp.web.json_response({"error": {"code": refused.code}}, status=401)
        it.tokens.append((await request.json())["token"])
        return it.respond(request, body)

    app = aiohttp.web.Application()
    app.router.add_post(PING, handle)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    assert isinstance(backend, InstalledBackend)
    port = int(backend.installation.environment["SIDECAR_PORT"])
    await aiohttp.web.TCPSite(runner, "127.0.0.1", port).start()
    yield it
    await runner.cleanup()


async def _call_back(caller: Caller, **request: Any) -> CallBack:
    found = (await _ask(caller, call_back="a-token", **request)).call_back
    assert found is not None
    return found


async def test_php_calls_the_sidecar(caller: Caller, sidecar: Sidecar) -> None:
    found = await _call_back(caller)
    assert (found.status, found.error, found.code) == (200, None, None)
    assert found.answer == ANSWER
    assert 0 <= found.took_ms < 2000
    assert sidecar.tokens == ["a-token"]
    await _ask(caller)
    assert sidecar.tokens == ["a-token"], "only when it is asked to"


async def test_a_sidecar_that_is_not_there(caller: Caller) -> None:
    found = await _call_back(caller)
    assert (found.status, found.answer) == (None, None)
    assert found.error


async def test_a_sidecar_that_refuses(caller: Caller, sidecar: Sidecar) -> None:
    body = '{"error": {"code": "key_unknown", "message": "compare the keys"}}'
    sidecar.respond = lambda request, _: aiohttp.web.Response(status=401, text=body)
    found = await _call_back(caller)
    assert (found.status, found.code, found.answer) == (401, "key_unknown", None)
    assert found.error


async def test_something_else_is_there(caller: Caller, sidecar: Sidecar) -> None:
    sidecar.respond = lambda request, _: aiohttp.web.Response(text="<html>welcome</html>")
    found = await _call_back(caller)
    assert found.answer is None
    assert found.error


@pytest.mark.parametrize(
    "request_",
    [
        {"call_back": ""},
        {"call_back": "x" * 65},
        {"call_back": 1},
        {"call_back_timeout_ms": 99},
        {"call_back_timeout_ms": 10_001},
        {"other": 1},
    ],
)
async def test_limits(caller: Caller, request_: dict[str, Any]) -> None:
    refusal = await caller.refusal(contract.DIAGNOSIS, request_)
    assert refusal == (400, contract.ErrorCode.REQUEST_INVALID)
