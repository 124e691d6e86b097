"""The reference application fails in the way that an update asks for, where a file allows it."""

from collections.abc import Iterator

import orjson
import pytest

from contracts import backend as contract
from tests.contract.caller import Answer, Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import message, message_object
from tests.contract.under_test import Vendor


@pytest.fixture
def allowed(backend: LaravelBackend) -> Iterator[None]:
    file = backend.installation.application.storage / "faults"
    file.touch()
    yield
    file.unlink()


async def ask(caller: Caller, vendor: Vendor, wamid: str, answers: str) -> Answer:
    text = {"text": {"body": f"php answers {answers}"}}
    update = message(vendor, message_object(wamid, "15550001111", **text))
    path, body = contract.PROCESS_WEBHOOKS, orjson.dumps({"updates": [update]})
    return await caller.raw(path, body, caller.signer.headers("POST", path, body))


def stored(backend: LaravelBackend, vendor: Vendor) -> list[str]:
    return [row["wamid"] for row in backend.rows("whatsapp_message_logs", vendors__id=vendor.id)]


@pytest.mark.parametrize(
    ("answers", "status", "begin"),
    [
        ("400", 400, b'{"error":'),
        ("500", 500, b"<h1>"),
        ("garbage", 200, b'{"results": [{"id": 7'),
        ("nothing", 200, b""),
    ],
)
@pytest.mark.usefixtures("allowed")
async def test_the_whole_request_fails(
    caller: Caller,
    backend: LaravelBackend,
    vendor: Vendor,
    answers: str,
    status: int,
    begin: bytes,
) -> None:
    answer = await ask(caller, vendor, "wamid.whole", answers)
    assert answer.status == status
    assert answer.content[: len(begin) or 1] == begin
    assert stored(backend, vendor) == []


@pytest.mark.usefixtures("allowed")
async def test_a_fatal_error(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    assert (await ask(caller, vendor, "wamid.fatal", "never")).status == 500
    assert stored(backend, vendor) == []


@pytest.mark.usefixtures("allowed")
async def test_one_update_fails(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    answer = await ask(caller, vendor, "wamid.one", "error")
    assert [one["result"] for one in answer.json["results"]] == ["retry"]
    assert stored(backend, vendor) == []


@pytest.mark.usefixtures("allowed")
async def test_late_and_done(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    answer = await ask(caller, vendor, "wamid.late", "late")
    assert [one["result"] for one in answer.json["results"]] == ["done"]
    assert stored(backend, vendor) == ["wamid.late"]


async def test_only_where_it_is_allowed(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answer = await ask(caller, vendor, "wamid.not.allowed", "500")
    assert [one["result"] for one in answer.json["results"]] == ["done"]
    assert stored(backend, vendor) == ["wamid.not.allowed"]
