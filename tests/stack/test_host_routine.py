"""Customers' messages through the application's own webhook routine."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from simulator.stack.application import APPLICATION, Application
from simulator.stack.nginx import NO_SIDECAR, Nginx
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import change, echo, message, message_object
from tests.contract.under_test import Row, Vendor

SENDER = "999700000001"


@pytest.fixture(scope="module")
def application(backend: LaravelBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application with the other engine, on the same database. Gives its address."""
    folder: Path = tmp_path_factory.mktemp("host")
    variables = {
        **backend.installation.application.variables,
        "WHATSAPP_SIDECAR_ENGINE": r"WhatsappSidecar\Laravel\Engine\HostRoutineEngine",
        "WHATSAPP_SIDECAR_HOST_CLASS": r"App\HostRoutine",
    }
    public = APPLICATION / "public"
    with (
        Application(folder / "php", variables, workers=4) as php,
        Nginx(
            folder / "nginx",
            sidecar=NO_SIDECAR,
            php=f"unix:{php.socket}",
            root=public,
        ) as nginx,
    ):
        yield nginx.internal_url


@pytest.fixture
async def host(backend: LaravelBackend, application: str) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        behind_it = copy.copy(backend)
        behind_it.base_url = application
        yield Caller(behind_it, session)


def _logs(backend: LaravelBackend, vendor: Vendor) -> list[Row]:
    return backend.rows("whatsapp_message_logs", vendors__id=vendor.id)


async def test_each_update_is_a_request_of_its_own(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await host.process(
        message(vendor, message_object("h.1", SENDER, text={"body": "one"})),
        echo(vendor, message_object("h.2", "99900000000", to=SENDER, text={"body": "two"})),
        change(vendor, "account_update", {"event": "PARTNER_ADDED"}),
    )
    assert [answer.result for answer in answers] == ["done"] * 3
    assert [(log["wamid"], log["message"]) for log in _logs(backend, vendor)] == [
        ("h.1", "messages: one"),
        ("h.2", "smb_message_echoes: two"),
        (None, "account_update: "),
    ]


async def test_a_message_that_is_in_the_log_is_not_handed_over_again(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    update = message(vendor, message_object("h.1", SENDER))
    for _ in range(2):
        answers = await host.process(update, update)
        assert [answer.result for answer in answers] == ["done", "done"]
    assert len(_logs(backend, vendor)) == 1


async def test_an_exception_fails_that_update_alone(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await host.process(
        message(vendor, message_object("h.1", SENDER, text={"body": "first"})),
        message(vendor, message_object("h.2", SENDER, text={"body": "fails"})),
        message(vendor, message_object("h.3", SENDER, text={"body": "forgets its transaction"})),
        message(vendor, message_object("h.4", SENDER, text={"body": "last"})),
    )
    assert [answer.result for answer in answers] == ["done", "retry", "retry", "done"]
    assert "the routine fails" in (answers[1].reason or "")
    assert "transaction" in (answers[2].reason or "")
    stored = {log["wamid"] for log in _logs(backend, vendor)}
    assert stored >= {"h.1", "h.4"}
    assert "h.3" not in stored


async def test_a_batch_that_comes_twice_at_the_same_moment(
    host: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """The sidecar has given up on PHP, which works on: the routine is called once for each message,
    and both answers ask for the same effects."""
    updates = [
        message(vendor, message_object(f"h.{number}", SENDER, text={"body": "say hello"}))
        for number in range(20)
    ]
    answers = await asyncio.gather(*(host.process(*updates) for _ in range(4)))
    logs = [log for log in _logs(backend, vendor) if log["is_incoming_message"]]
    assert sorted(log["wamid"] for log in logs) == sorted(f"h.{number}" for number in range(20))
    for results in zip(*answers, strict=True):
        assert {result.result for result in results} == {"done"}
        assert len({tuple(effect["id"] for effect in result.effects) for result in results}) == 1
        assert len(results[0].effects) == 1
