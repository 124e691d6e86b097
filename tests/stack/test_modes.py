"""Modes in PHP beyond the contract: claims under way, crons, statements, and many vendors."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest

from contracts.backend import MODES
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.switching import modes_of, read, request_for, switch
from tests.contract.under_test import Campaign, Vendor
from tests.eventually import eventually
from tests.stack.php_code import SIDECAR, run_php
from tests.stack.test_statements import CONNECT, _statements

#: Far more than fit into one statement.
MANY = 4_000

#: What the database shows of these is up to 0.1 s old, and older for who asks more often.
_WAITING = "SELECT COUNT(*) AS found FROM information_schema.INNODB_TRX WHERE trx_state='LOCK WAIT'"


@contextmanager
def _locked(backend: LaravelBackend, campaign: Campaign) -> Iterator[None]:
    """Have whoever claims the campaign's rows wait for the time of a block."""
    with closing(backend.installation.mariadb.connect()) as other:
        other.rows("START TRANSACTION")
        other.rows(
            "SELECT _id FROM whatsapp_message_queue WHERE campaigns__id = ? FOR UPDATE",
            (campaign.id,),
        )
        yield
        other.rows("COMMIT")


@pytest.mark.parametrize("kept", [False, True])
async def test_a_change_waits_for_the_claims_that_are_under_way(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, campaign: Campaign, kept: bool
) -> None:
    """So that whoever is told that campaigns are held finds every row that was taken."""

    def waiting() -> int:
        return int(backend.database.rows(_WAITING)[0]["found"])

    if kept:
        await switch(caller, vendor, campaigns="sidecar")
    with _locked(backend, campaign):
        claim = asyncio.create_task(caller.claim(campaign))
        await eventually(lambda: waiting() == 1, every_s=0.2)
        change = asyncio.create_task(switch(caller, vendor, campaigns="held"))
        await eventually(lambda: waiting() == 2 or change.done(), every_s=0.2)
        assert not change.done()
    assert len((await claim).rows) == 3
    await change
    assert (await modes_of(caller, vendor)).modes.campaigns == "held"


async def test_changes_of_many_vendors(caller: Caller, backend: LaravelBackend) -> None:
    """First ones, later ones, with and without the past: as many statements as for one."""
    vendors = [backend.seed_vendor() for _ in range(20)]
    counts: list[list[int]] = []
    for some in (vendors[:2], vendors[2:]):
        counts.append([])
        for mode in ("sidecar", "shadow"):
            request = await request_for(caller, {one.uid: {"bots": mode} for one in some})
            call = partial(caller.call, MODES, request)
            counts[-1].append(await _statements(backend, call))
        for history in (False, True):
            call = partial(caller.call, MODES, {"history": history})
            counts[-1].append(await _statements(backend, call))
    assert counts[0] == counts[1]
    assert max(counts[0][:2]) <= CONNECT + 9
    assert max(counts[0][2:]) <= CONNECT + 2


async def test_thousands_of_vendors(caller: Caller, backend: LaravelBackend) -> None:
    [first, *_] = backend.installation.seed_vendors(vendors=MANY)
    try:
        answer = await read(caller)
        uids = [one.vendor_uid for one in answer.vendors][-MANY:]
        for mode in ("held", "sidecar"):
            changes = {uid: {"campaigns": mode} for uid in uids}
            request = await request_for(caller, changes, by="a test", reason="for all of them")
            answer = await read(caller, **request, history=True)
        moved = answer.vendors[-MANY:]
        assert {one.modes.campaigns for one in moved} == {"sidecar"}
        assert [len(one.history) for one in moved] == [2] * MANY
    finally:
        backend.run("DELETE FROM vendors WHERE _id >= ?", (first.id,))


def test_what_cannot_be_read_is_as_if_it_were_not_there(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.set_setting(vendor, "sidecar_modes", "{no JSON")
    campaign = backend.seed_campaign(vendor, 1)
    run = backend.installation.application.artisan
    taken = run("campaign:process", "--rows=100000", WHATSAPP_SIDECAR_VENDORS="none")
    assert (taken.returncode, campaign.row_uids[0] in taken.stdout) == (0, True)


def _process(backend: LaravelBackend, **environment: str) -> str:
    run = backend.installation.application.artisan
    done = run("campaign:process", "--rows=100000", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("mode", "taken"), [("php", True), ("shadow", True), ("sidecar", False), ("held", False)]
)
async def test_the_campaign_cron_takes_rows_by_the_mode(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, mode: str, taken: bool
) -> None:
    """Whatever the installation's own configuration says, and whose webhooks it is."""
    campaign = backend.seed_campaign(vendor, 2)
    await switch(caller, vendor, campaigns=mode, webhooks="php" if mode == "sidecar" else "sidecar")
    told = "all" if taken else "none"
    assert (campaign.row_uids[0] in _process(backend, WHATSAPP_SIDECAR_VENDORS=told)) is taken


@pytest.mark.parametrize("state", ["paused", "cancelled"])
async def test_the_campaign_cron_leaves_alone_what_is_stopped(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, state: str
) -> None:
    """Until it runs again; then it goes on by the cron. Others of the vendor are not held up."""
    stopped, other = backend.seed_campaign(vendor, 2), backend.seed_campaign(vendor, 1)
    await caller.release(stopped, campaign_state=state)
    await switch(caller, vendor, campaigns="php")
    taken = _process(backend).split()
    assert set(taken) & {*stopped.row_uids, *other.row_uids} == set(other.row_uids)
    await caller.release(stopped, campaign_state="running", restart=True)
    assert set(stopped.row_uids) <= set(_process(backend).split())


async def test_what_a_stopped_campaign_has_in_hand_is_seen_by_the_cron(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """It makes unknown what a dead process has left in 3; by a query of its own, too."""
    campaign = backend.seed_campaign(vendor, 2)
    await switch(caller, vendor, campaigns="php")
    await caller.release(campaign, campaign_state="paused")
    backend.change("whatsapp_message_queue", {"status": 3}, _uid=campaign.row_uids[0])
    code = f"""
        $modes = $app->make(WhatsappSidecar\\Laravel\\Store\\Modes::class);
        $models = App\\Models\\QueuedMessage::where('campaigns__id', {campaign.id})->pluck('_uid');
        $table = fn ($as) => Illuminate\\Support\\Facades\\DB::table("whatsapp_message_queue$as");
        $queries = array_map(fn ($of) => $table($of[0])
            ->whereRaw(...$modes->ofCrons('campaigns', $of[1]))
            ->where('campaigns__id', {campaign.id})->pluck('_uid')->all(),
            [['', 'vendors__id'], [' as q', 'q.vendors__id'],
                ['', 'whatsapp_message_queue.vendors__id']]);
        return [$models->all(), ...$queries];"""
    found = run_php(backend.installation.application, code, web=False)
    assert found == [[campaign.row_uids[0]]] * 4


async def test_a_process_that_runs_for_long_goes_by_the_modes_of_now(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    campaign = backend.seed_campaign(vendor, 1)
    await switch(caller, vendor, campaigns="php")
    code = f"""
        $count = fn () => App\\Models\\QueuedMessage::query()
            ->where('campaigns__id', {campaign.id})->count();
        $counts = [$count()];
        $table = $app->make(WhatsappSidecar\\Laravel\\Store\\ModesTable::class);
        foreach (['held', 'sidecar', 'held', 'shadow'] as $mode) {{
            $version = max(array_column($table->vendors(false), 'version'));
            $table->change([['{vendor.uid}', ['campaigns' => $mode]]], $version, null, null);
            $counts[] = $count();
        }}
        return $counts;
    """
    counts: Any = run_php(backend.installation.application, code, web=False)
    assert counts == [1, 0, 0, 0, 1]


async def test_crons_read_rows_and_modes_where_they_are_written(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """There is a replica, which nobody may ask: by the modes that it has, a cron would send what
    the sidecar sends."""
    campaign = backend.seed_campaign(vendor, 1)
    await switch(caller, vendor, campaigns="php")
    rows = f"App\\Models\\QueuedMessage::query()->where('campaigns__id', {campaign.id})"
    code = f"""
        $ways = [
            fn () => {rows}->count(),
            fn () => {rows}->get()->count(),
            fn () => {rows}->exists(),
            fn () => {rows}->pluck('_id')->count(),
            fn () => {rows}->cursor()->count(),
            fn () => {rows}->paginate(5)->count(),
        ];
        return array_map(fn ($way) => (int) $way(), $ways);
    """
    replica = {"DB_REPLICA": "nowhere"}
    assert run_php(backend.installation.application, code, replica, web=False) == [1] * 6


async def test_in_the_browser_every_row_is_seen(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    campaign = backend.seed_campaign(vendor, 2)
    await switch(caller, vendor, campaigns="sidecar")
    code = f"return App\\Models\\QueuedMessage::where('campaigns__id', {campaign.id})->count();"
    counts = [run_php(backend.installation.application, code, web=web) for web in (True, False)]
    assert counts == [2, 0]


def test_models_have_to_be_listed_by_what_is_done_with_them(backend: LaravelBackend) -> None:
    code = """
        config(['whatsapp-sidecar.scoped_models' => [App\\Models\\QueuedMessage::class]]);
        try {
            (new WhatsappSidecar\\Laravel\\SidecarServiceProvider($app))->boot();
        } catch (InvalidArgumentException $error) {
            return $error->getMessage();
        }
    """
    message = run_php(backend.installation.application, code, web=False)
    assert "whatsapp-sidecar.scoped_models" in message
    assert "campaigns" in message


async def test_the_applications_own_code_sees_the_modes(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    await switch(caller, vendor, campaigns="held")
    code = f"return {SIDECAR}::modes()['{vendor.uid}'];"
    told = run_php(backend.installation.application, code)
    assert told == {"webhooks": "sidecar", "campaigns": "held", "bots": "php"}


#: What names the row of a campaign and a contact, as a status does.
ROW = "->where('contacts__id', $contact)->where('campaigns__id', $campaign)"


@pytest.mark.parametrize(
    ("conditions", "seen"),
    [
        (ROW, True),
        ("->where(['campaigns__id' => $campaign, 'contacts__id' => $contact])", True),
        (ROW.replace("'c", "'whatsapp_message_queue.c"), True),
        ("->where('contacts__id', $contact)", False),
        ("->where('vendors__id', $vendor)", False),
        (f"{ROW}->where('status', 1)", False),
        (f"{ROW}->where('whatsapp_message_queue.status', 1)", False),
        (f"{ROW}->whereIn('status', [1, 3])", False),
        (f"{ROW}->where(fn ($q) => $q->where('status', 1))", False),
        (f"{ROW}->whereRaw('status = 1')", False),
        (f"{ROW}->orWhere('retries', '>', 0)", False),
        (f"{ROW}->where(fn ($q) => $q->where('retries', 0)->orWhere('retries', 1))", False),
        ("->where('contacts__id', '>=', $contact)->where('campaigns__id', $campaign)", False),
        ("->whereIn('contacts__id', [$contact])->where('campaigns__id', $campaign)", False),
    ],
)
async def test_a_status_in_the_webhook_cron_finds_its_contacts_row(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, conditions: str, seen: bool
) -> None:
    """Where the sidecar sends, and PHP still has the webhooks: the application's routine ends rows
    that were sent, through the model that hides what is due from the campaign cron."""
    campaign = backend.seed_campaign(vendor, 1)
    await switch(caller, vendor, campaigns="sidecar", webhooks="php")
    [row] = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    code = f"""
        [$vendor, $contact, $campaign] = [{vendor.id}, {row["contacts__id"]}, {campaign.id}];
        $rows = App\\Models\\QueuedMessage::query(){conditions};
        return in_array('{row["_uid"]}', $rows->pluck('_uid')->all(), true);"""
    assert run_php(backend.installation.application, code, web=False) is seen
