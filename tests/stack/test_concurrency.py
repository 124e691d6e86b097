"""Claims, the application's own cron and results, all at the same moment."""

import asyncio
from collections import Counter
from typing import Any

from contracts.backend import QueueStatus
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    accepted,
    message,
    message_object,
    status,
    status_object,
    wamid_of,
)
from tests.contract.talk import says, sends
from tests.contract.under_test import Campaign, Vendor
from tests.eventually import eventually

ROWS = 10_000


async def _claim_all(caller: Caller, campaign: Campaign, name: str) -> list[str]:
    taken: list[str] = []
    for turn in range(ROWS):
        claim = await caller.claim(campaign, 250, claim_uid=f"{name}-{turn}")
        taken += [row.uid for row in claim.rows]
        if not claim.rows and claim.due == 0:
            break
    return taken


async def _cron(backend: LaravelBackend, owned: str, wanted: set[str]) -> list[str]:
    """Run the campaign cron until it has taken what it should, four times at least; return all
    that it took."""
    taken: list[str] = []
    for turn in range(100):
        if turn >= 4 and wanted <= set(taken):
            break
        done = await asyncio.to_thread(
            backend.installation.application.artisan,
            "campaign:process",
            WHATSAPP_SIDECAR_VENDORS=owned,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        taken += done.stdout.split()
    return taken


async def test_every_row_is_taken_once(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Two claimers and the cron; the vendor is the sidecar's, another one the cron's."""
    # The cron takes the oldest rows of all: those that other tests have left would keep it busy.
    backend.change("whatsapp_message_queue", {"status": QueueStatus.ERROR}, status=1)
    campaign = backend.seed_campaign(vendor, ROWS)
    other = backend.seed_campaign(backend.seed_vendor(), 100)
    first, second, cron = await asyncio.gather(
        _claim_all(caller, campaign, "a"),
        _claim_all(caller, campaign, "b"),
        _cron(backend, owned=vendor.uid, wanted=set(other.row_uids)),
    )
    taken = Counter(first + second)
    assert sorted(taken) == sorted(campaign.row_uids)
    assert set(taken.values()) == {1}
    assert not set(cron) & set(campaign.row_uids)
    assert set(other.row_uids) <= set(cron)


async def test_result_and_early_status_of_one_send(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """They come at the same moment: one log row, and no row of the queue left behind."""
    campaign = backend.seed_campaign(vendor, 120)
    await caller.claim(campaign, 120)
    calls = []
    for start in range(0, 120, 20):
        uids = campaign.row_uids[start : start + 20]
        reports = [accepted(campaign, uid) for uid in uids]
        updates = [
            status(vendor, status_object(wamid_of(uid), "delivered", row_uid=uid)) for uid in uids
        ]
        calls += [caller.report(*reports), caller.process(*reversed(updates))]
    answers = await asyncio.gather(*calls)
    assert {answer.result for batch in answers for answer in batch} == {"done"}
    logs = backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert sorted(log["wamid"] for log in logs) == sorted(map(wamid_of, campaign.row_uids))
    assert {log["status"] for log in logs} == {"delivered"}
    assert all(log["__data"]["initial_response"] for log in logs)
    assert backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []


async def test_the_same_batch_twice_at_once(caller: Caller, campaign: Campaign) -> None:
    await caller.claim(campaign)
    reports = [accepted(campaign, uid) for uid in campaign.row_uids]
    await asyncio.gather(*(caller.report(*reports) for _ in range(4)))
    logs = caller.backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert len(logs) == len(campaign.row_uids)
    rows = caller.backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
    assert {row["status"] for row in rows} == {QueueStatus.AWAITING_STATUS}


async def test_a_message_that_comes_twice_at_the_same_moment_is_answered_alike(
    caller: Caller, backend: LaravelBackend
) -> None:
    """Who is second finds the first one's message in the log, or waits for its row: what was
    decided first holds, and no welcome is lost or said twice."""
    for turn in range(10):
        vendor = backend.seed_vendor()
        (bot,) = backend.seed_bots(vendor, SeedBot("welcome", None, "Welcome!"))
        update = says(vendor, "Hi", [(bot, "welcome")], wamid=f"wamid.twice.{turn}")
        answers = await asyncio.gather(*(caller.process(update) for _ in range(4)))
        said = {tuple(reply.id for reply in sends(result)) for (result,) in answers}
        assert len(said) == 1
        assert said != {()}
        assert len(backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 2


async def test_calls_that_find_out_at_once_that_two_contacts_are_one(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Each has read both before any has merged them."""
    number, user = "999700000001", "GB.1349120865530274191"
    database = backend.database
    for wamid, ids in (("wamid.n", (number, None)), ("wamid.u", (None, user))):
        await caller.process(_from(vendor, wamid, *ids))
    kept, other = backend.rows("contacts", vendors__id=vendor.id)
    database.script("START TRANSACTION")
    try:
        database.rows("SELECT _id FROM contacts WHERE vendors__id = ? FOR UPDATE", (vendor.id,))
        calls = [
            asyncio.create_task(caller.process(_from(vendor, f"wamid.{place}", number, user)))
            for place in range(2)
        ]
        waiting = "SELECT trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        # InnoDB shows what it has shown last to whoever asks again within a tenth of a second.
        await eventually(lambda: len(database.rows(waiting)) == len(calls), every_s=0.2)
    finally:
        database.script("COMMIT")
    assert [answer.result for [answer] in await asyncio.gather(*calls)] == ["done", "done"]
    [contact] = backend.rows("contacts", _id=kept["_id"])
    assert (contact["wa_id"], contact["whatsapp_opt_out"] or 0) == (number, 0)
    assert contact["__data"] == {"user_id": user}
    [gone] = backend.rows("contacts", _id=other["_id"])
    assert gone["__data"] == {"sidecar": {"merged_into": kept["_uid"]}}


def _from(vendor: Vendor, wamid: str, number: str | None, user: str | None) -> dict[str, Any]:
    ids = {} if user is None else {"from_user_id": user}
    contact = {"wa_id": number} if number else {}
    contact |= {"user_id": user} if user else {}
    return message(vendor, message_object(wamid, number, **ids), contacts=[contact])
