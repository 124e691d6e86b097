"""Customers' messages through the application's own webhook routine."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from contracts.backend import PROCESS_WEBHOOKS
from simulator.stack.application import APPLICATION, Application
from simulator.stack.nginx import NO_SIDECAR, Nginx
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import change, echo, message, message_object
from tests.contract.talk import effects_of, says, sends, texts
from tests.contract.under_test import Row, Vendor
from tests.eventually import eventually
from tests.stack.php_code import php_steps
from tests.stack.rivals import waiting

SENDER = "999700000001"
DB = "Illuminate\\Support\\Facades\\DB"


@contextmanager
def _application(backend: LaravelBackend, folder: Path, transaction: str) -> Iterator[str]:
    """Run the application with the other engine, on the same database. Gives its address."""
    variables = {
        **backend.installation.application.variables,
        "WHATSAPP_SIDECAR_ENGINE": r"WhatsappSidecar\Laravel\Engine\HostRoutineEngine",
        "WHATSAPP_SIDECAR_HOST_CLASS": r"App\HostRoutine",
        "WHATSAPP_SIDECAR_HOST_TRANSACTION": transaction,
        "APP_URL": "https://app.example/shop/",
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


@pytest.fixture(scope="module")
def plain(backend: LaravelBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _application(backend, tmp_path_factory.mktemp("host"), "off") as url:
        yield url


@pytest.fixture(scope="module")
def in_transactions(
    backend: LaravelBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with _application(backend, tmp_path_factory.mktemp("host"), "on") as url:
        yield url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _caller(backend: LaravelBackend, session: aiohttp.ClientSession, url: str) -> Caller:
    behind_it = copy.copy(backend)
    behind_it.base_url = url
    return Caller(behind_it, session)


@pytest.fixture
def host(backend: LaravelBackend, session: aiohttp.ClientSession, plain: str) -> Caller:
    return _caller(backend, session, plain)


@pytest.fixture
def atomic(backend: LaravelBackend, session: aiohttp.ClientSession, in_transactions: str) -> Caller:
    """The same with all that the routine does for an update in one transaction."""
    return _caller(backend, session, in_transactions)


@pytest.fixture(params=["plain", "in_transactions"])
def either(
    request: pytest.FixtureRequest, backend: LaravelBackend, session: aiohttp.ClientSession
) -> Caller:
    return _caller(backend, session, request.getfixturevalue(request.param))


def _logs(backend: LaravelBackend, vendor: Vendor) -> list[Row]:
    return backend.rows("whatsapp_message_logs", vendors__id=vendor.id)


async def test_each_update_is_a_request_of_its_own(
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await either.process(
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
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await either.process(
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
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """The sidecar has given up on PHP, which works on: the routine is called once for each message,
    and both answers ask for the same effects."""
    updates = [
        message(vendor, message_object(f"h.{number}", SENDER, text={"body": "say hello"}))
        for number in range(20)
    ]
    answers = await asyncio.gather(*(either.process(*updates) for _ in range(4)))
    logs = [log for log in _logs(backend, vendor) if log["is_incoming_message"]]
    assert sorted(log["wamid"] for log in logs) == sorted(f"h.{number}" for number in range(20))
    for results in zip(*answers, strict=True):
        assert {result.result for result in results} == {"done"}
        assert len({tuple(effect["id"] for effect in result.effects) for result in results}) == 1
        assert len(results[0].effects) == 1


# -- routines that were written for a request of their own ---------------------------------------


async def test_what_it_prints_is_no_part_of_the_answer(
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await either.process(says(vendor, "print; say One"), says(vendor, "say Two"))
    assert [texts(sends(answer)) for answer in answers] == [["One"], ["Two"]]


async def test_it_exits(either: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """What it has done by then is done, and asked for."""
    update = says(vendor, "say One; exit; say Two")
    (answer,) = await either.process(update)
    assert (answer.result, texts(sends(answer))) == ("done", ["One"])
    (again,) = await either.process({**update, "attempt": 2})
    assert effects_of(again) == effects_of(answer)
    assert [log["status"] for log in _logs(backend, vendor)] == [None, "pending"]


async def test_it_exits_among_others(
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """The whole request fails, and the sidecar halves it until the update is alone."""
    updates = [says(vendor, text) for text in ("say One", "exit", "say Three")]
    body = orjson.dumps({"updates": updates})
    signature = either.signer.headers("POST", PROCESS_WEBHOOKS, body)
    assert (await either.raw(PROCESS_WEBHOOKS, body, signature)).status == 500
    for update, expected in zip(updates, (["One"], [], ["Three"]), strict=True):
        (answer,) = await either.process({**update, "attempt": 2})
        assert (answer.result, texts(sends(answer))) == ("done", expected)
    assert len([log for log in _logs(backend, vendor) if log["is_incoming_message"]]) == 3


@pytest.mark.parametrize(("order", "result"), [("answer", "done"), ("refuse", "retry")])
async def test_it_throws_its_response(
    either: Caller, vendor: Vendor, order: str, result: str
) -> None:
    (answer,) = await either.process(says(vendor, order))
    assert answer.result == result


async def test_its_links_lead_to_the_application(either: Caller, vendor: Vendor) -> None:
    (answer,) = await either.process(says(vendor, "link"))
    assert texts(sends(answer)) == ["https://app.example/shop/media/1"]


# -- transactions of its own ---------------------------------------------------------------------


async def test_what_it_rolls_back_is_not_sent(
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    update = says(vendor, "say One; roll back; forward; say Three")
    (answer,) = await either.process(update)
    kinds = [effect["kind"] for effect in answer.effects]
    assert kinds == ["send_message", "forward", "send_message"]
    assert [log["message"] for log in _logs(backend, vendor)][1:] == ["One", "Three"]
    (again,) = await either.process({**update, "attempt": 2})
    assert effects_of(again) == effects_of(answer)


async def test_a_transaction_that_laravel_does_not_know_of(
    either: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    answers = await either.process(says(vendor, "begin by statement"), says(vendor, "say Two"))
    assert texts(sends(answers[1])) == ["Two"]
    kept = [log for log in _logs(backend, vendor) if log["is_incoming_message"]]
    # Where the transaction was none of Laravel's, the message was stored before it.
    assert kept


async def test_nothing_remains_of_an_update_that_fails(
    atomic: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    update = says(vendor, "say One; or fails at the end")
    for attempt in (1, 2):
        answers = await atomic.process({**update, "attempt": attempt}, says(vendor, "say Two"))
        assert [answer.result for answer in answers] == ["retry", "done"]
    assert [log["message"] for log in _logs(backend, vendor)] == [
        *("messages: say Two", "Two", "messages: say Two", "Two")
    ]


async def test_it_ends_the_transaction_that_it_is_in(
    atomic: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    (answer,) = await atomic.process(says(vendor, "say One; end a transaction"))
    assert answer.result == "retry"
    assert "did not begin" in (answer.reason or "")
    assert _logs(backend, vendor) == []


async def test_it_swallows_a_deadlock_for_which_the_server_has_rolled_all_back(
    atomic: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """What it has written since stands alone, and comes again with the rest."""
    many = backend.seed_campaign(backend.seed_vendor(), 60)
    mine, theirs = backend.seed_vendor(), many.vendor
    update = says(vendor, f"say One; touch {mine.id}; touch {theirs.id}; say Two")
    cron = f"""
        {DB}::beginTransaction();
        {DB}::table('whatsapp_message_queue')->where('campaigns__id', {many.id})
            ->update(['retries' => 1]);
        {DB}::table('vendors')->where('_id', {theirs.id})->update(['slug' => 'cron']);
        $say('held'); $wait();
        {DB}::table('vendors')->where('_id', {mine.id})->update(['slug' => 'cron']);
        {DB}::commit();
        $say('whole');
    """
    with php_steps(backend.installation.application, cron) as other:
        assert other.said() == "held"
        processing = asyncio.create_task(atomic.process(update, says(vendor, "say Three")))
        await eventually(lambda: waiting(backend.database))
        other.go_on()
        assert other.said() == "whole"
        answers = await processing
    assert [answer.result for answer in answers] == ["retry", "done"]
    assert "was ended in the middle" in (answers[0].reason or "")
    assert texts(sends(answers[1])) == ["Three"]
    assert "One" not in [log["message"] for log in _logs(backend, vendor)]
    (again,) = await atomic.process({**update, "attempt": 2})
    assert (again.result, texts(sends(again))) == ("done", ["One", "Two"])
    said = sorted(log["message"].partition(":")[0] for log in _logs(backend, vendor))
    assert said == ["One", "Three", "Two", "messages", "messages"]
