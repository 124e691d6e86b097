"""Real deadlocks, and locks that are waited for in vain, of the host's processes and the package in
them, with the cache in the database. A transaction of the host's is whole, or the host is told."""

import asyncio
from typing import Any

import pytest

from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import message, message_object
from tests.contract.under_test import Campaign, Vendor
from tests.eventually import eventually
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import SIDECAR, php_steps
from tests.stack.rivals import waiting
from tests.stack.test_host_transactions import DATABASE, DB, EFFECTS, HOOKS, USER

LOGS = "whatsapp_message_logs"
QUEUE = "whatsapp_message_queue"
DEADLOCK, TOO_LONG = 1213, 1205

#: The host's own changes, each of a row that another process wants too.
_SLUG = f"{DB}::table('vendors')->where('_id', {{}})->update(['slug' => '{{}}'])"

#: Of two transactions the server undoes the one that has changed less.
_MANY = f"{DB}::table('{QUEUE}')->where('campaigns__id', {{}})->update(['retries' => 1])"


def _slug(vendor: Vendor, value: str) -> str:
    return _SLUG.format(vendor.id, value)


def _slugs(backend: LaravelBackend, *vendors: Vendor) -> list[Any]:
    return [backend.rows("vendors", _id=vendor.id)[0]["slug"] for vendor in vendors]


#: Newer MariaDBs refuse to change a row that has changed since the transaction began (1020), where
#: the others wait. That is not what is tested here.
_WAITS = f"""
    if ({DB}::select("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'") !== []) {{
        {DB}::statement('SET SESSION innodb_snapshot_isolation = OFF');
    }}
"""


def _heavy(campaign: Campaign, *more: str) -> str:
    """Return the code of a process whose transaction the server keeps."""
    steps = [
        f"{_WAITS} {DB}::beginTransaction()",
        _MANY.format(campaign.id),
        *more,
        f"{DB}::commit()",
    ]
    return "; ".join([*steps, "$say('whole');"])


_HELD = "$say('held'); $wait()"


@pytest.fixture
def others(backend: LaravelBackend) -> tuple[Vendor, Vendor]:
    return backend.seed_vendor(), backend.seed_vendor()


@pytest.fixture
def many(backend: LaravelBackend) -> Campaign:
    return backend.seed_campaign(backend.seed_vendor(), 60)


async def test_two_crons_that_the_package_does_not_set_against_each_other(
    backend: LaravelBackend,
    caller: Caller,
    vendor: Vendor,
    bot: str,
    sidecar: CalledSidecar,
    others: tuple[Vendor, Vendor],
    many: Campaign,
) -> None:
    """Each has called every hook while the other's transaction is open. If a hook wrote, the second
    one would wait for the first, which then waits for the second's own row."""
    await caller.process(message(vendor, message_object("w.1", None, from_user_id=USER)))
    reading = [HOOKS[name] for name in HOOKS if name != "a model is saved"]
    hooks = "".join(hook.format(vendor=vendor.id, bot=bot) for hook in reading)
    theirs, later = others
    first = _heavy(many, hooks, _HELD, _slug(theirs, "first"))
    second = f"""
        {_WAITS}
        {DB}::beginTransaction();
        {_slug(theirs, "second")};
        {_HELD};
        {hooks}
        {_slug(later, "second")};
        $say('hooked'); $wait();
        {DB}::commit();
        $say('whole');
    """
    application = backend.installation.application
    variables = {**DATABASE, **sidecar.variables}
    with (
        php_steps(application, first, variables) as one,
        php_steps(application, second, variables) as other,
    ):
        assert (one.said(), other.said()) == ("held", "held")
        other.go_on()
        await eventually(lambda: other.has_said() or waiting(backend.database))
        one.go_on()
        assert other.said() == "hooked"
        await eventually(lambda: one.has_said() or waiting(backend.database))
        other.go_on()
        assert (other.said(), one.said()) == ("whole", "whole")
    assert _slugs(backend, theirs, later) == ["first", "second"]


def _sending(vendor: Vendor, others: tuple[Vendor, Vendor], attempts: int, wait_s: int = 50) -> str:
    """Return the code of a process whose transaction waits in the package's statement."""
    body = "['type' => 'text', 'text' => ['body' => 'Hello.']]"
    return f"""
        {_WAITS}
        {DB}::statement('SET SESSION innodb_lock_wait_timeout = {wait_s}');
        $runs = 0;
        try {{
            {DB}::transaction(function () use (&$runs, $say, $wait) {{
                {_slug(others[0], "second")};
                if (++$runs === 1) {{ {_HELD}; }}
                {SIDECAR}::sendMessage({vendor.id}, '+491700000001', {body});
                {_slug(others[1], "second")};
            }}, {attempts});
            $code = null;
        }} catch (PDOException $error) {{
            // Laravel wraps it where transactions are nested, from version 10 on.
            $code = ($error->errorInfo ?? $error->getPrevious()->errorInfo)[1];
        }}
        $say([$code, $runs, {DB}::transactionLevel()]);
    """


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_deadlock_of_the_packages_statement_in_the_hosts_transaction(
    backend: LaravelBackend,
    vendor: Vendor,
    sidecar: CalledSidecar,
    others: tuple[Vendor, Vendor],
    many: Campaign,
    attempts: int,
) -> None:
    """The host is told, and nothing of it remains, or all of it is made again; a message goes out
    of a transaction that was committed alone."""
    first = _heavy(many, _slug(vendor, "first"), _HELD, _slug(others[0], "first"))
    application = backend.installation.application
    variables = {**DATABASE, **sidecar.variables}
    with (
        php_steps(application, first, variables) as one,
        php_steps(application, _sending(vendor, others, attempts), variables) as other,
    ):
        assert (one.said(), other.said()) == ("held", "held")
        other.go_on()
        await eventually(lambda: waiting(backend.database))
        one.go_on()
        assert one.said() == "whole"
        assert other.said() == [DEADLOCK if attempts == 1 else None, attempts, 0]
    done = attempts == 2
    assert _slugs(backend, *others) == (
        ["second", "second"] if done else ["first", f"vendor-{others[1].id}"]
    )
    assert len(backend.rows(LOGS, vendors__id=vendor.id)) == int(done)
    assert len(sidecar.called(EFFECTS)) == int(done)


def test_a_lock_that_the_packages_statement_waits_for_in_vain(
    backend: LaravelBackend,
    vendor: Vendor,
    sidecar: CalledSidecar,
    others: tuple[Vendor, Vendor],
    many: Campaign,
) -> None:
    first = _heavy(many, _slug(vendor, "first"), _HELD)
    application = backend.installation.application
    variables = {**DATABASE, **sidecar.variables}
    with (
        php_steps(application, first, variables) as one,
        php_steps(application, _sending(vendor, others, 1, wait_s=1), variables) as other,
    ):
        assert (one.said(), other.said()) == ("held", "held")
        other.go_on()
        assert other.said() == [TOO_LONG, 1, 0]
        one.go_on()
        assert one.said() == "whole"
    assert "second" not in _slugs(backend, *others)
    assert backend.rows(LOGS, vendors__id=vendor.id) == []
    assert sidecar.called(EFFECTS) == []


async def test_a_claim_and_a_cron_that_want_each_others_rows(
    backend: LaravelBackend, caller: Caller, vendor: Vendor
) -> None:
    """The claim is undone, and made again when the cron has committed."""
    campaign = backend.seed_campaign(vendor, 60)
    touched = f"{DB}::table('campaigns')->where('_id', {campaign.id})->update(['title' => 'first'])"
    first = _heavy(campaign, _HELD, touched)
    with php_steps(backend.installation.application, first, DATABASE) as cron:
        assert cron.said() == "held"
        claiming = asyncio.create_task(caller.claim(campaign, 100))
        await eventually(lambda: waiting(backend.database))
        cron.go_on()
        assert cron.said() == "whole"
        claim = await claiming
    assert [row.uid for row in claim.rows] == list(campaign.row_uids)
    rows = backend.rows(QUEUE, campaigns__id=campaign.id)
    assert {(row["status"], row["retries"]) for row in rows} == {(3, 1)}
    assert backend.rows("campaigns", _id=campaign.id)[0]["title"] == "first"
