"""The same rows at once from several sides, at every isolation level: each call is answered, and
the rows are as if the calls had come one after another."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import QueueStatus, UpdateResult
from contracts.effects import AiProvider
from simulator.backend.seed_bots import SeedBot
from simulator.stack.database import SqlError
from simulator.stack.host import Host
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    T0,
    accepted,
    change,
    failed,
    message,
    message_object,
    messaging,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.switching import modes_of, request_for
from tests.contract.talk import CUSTOMER, question, says, sends
from tests.contract.test_corrections import edit, revoke
from tests.contract.under_test import Campaign, Row, Vendor
from tests.eventually import eventually
from tests.stack.rivals import at_once, locked, waiting

USER = "GB.1349120865530274191"

SNAPSHOT = "SET GLOBAL innodb_snapshot_isolation = {}"


@pytest.fixture(scope="module")
def repeatable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaravelBackend]:
    """A host whose connection keeps the server's own level, which is REPEATABLE READ; counts rows
    that it finds there already; and cuts what does not fit."""
    host = Host(isolation="", found_rows=True, sql_mode="")
    with LaravelBackend(tmp_path_factory.mktemp("repeatable"), host) as running:
        yield running
        assert running.refused_statements() == []


@pytest.fixture(scope="module", params=["read committed", "repeatable read", "snapshot isolation"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def backend(level: str, backend: LaravelBackend, repeatable: LaravelBackend) -> LaravelBackend:
    if level == "read committed":
        return backend
    refuses = level == "snapshot isolation"
    try:
        repeatable.run(SNAPSHOT.format("ON" if refuses else "OFF"))
    except SqlError:
        if refuses:
            pytest.skip("this server has no such isolation")
    return repeatable


def _texts(backend: LaravelBackend, vendor: Vendor, *, incoming: bool) -> list[Row]:
    rows = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    return [row for row in rows if bool(row["is_incoming_message"]) is incoming]


def _results(answers: list[list[UpdateResult]]) -> list[str]:
    return [one.result for answer in answers for one in answer]


@pytest.mark.parametrize("is_known", [False, True])
async def test_messages_of_one_contact(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, is_known: bool
) -> None:
    """One contact, who is welcomed once."""
    (bot,) = backend.seed_bots(vendor, SeedBot("welcome", None, "Welcome!"))
    if is_known:
        await caller.process(_from(vendor, "wamid.long.ago", CUSTOMER))
        backend.change(
            "whatsapp_message_logs", {"created_at": "2020-01-01 00:00:00"}, vendors__id=vendor.id
        )
    answers = await at_once(
        backend,
        vendor,
        *(caller.process(says(vendor, f"{n}", [(bot, "welcome")])) for n in range(3)),
    )
    assert len([one for (one,) in answers if sends(one)]) == 1
    [contact] = backend.rows("contacts", vendors__id=vendor.id)
    logs = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert {log["contacts__id"] for log in logs} == {contact["_id"]}
    assert sorted(log["message"] for log in logs)[:3] == ["0", "1", "2"]
    assert len(logs) == 4 + is_known


async def test_batches_of_messages(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """Each brings some messages that another brings, of known people and of strangers, in its own
    order, and other bots match: each message is stored once, with what was decided first, and
    everybody is welcomed once."""
    hello, *bots = backend.seed_bots(
        vendor,
        SeedBot("welcome", None, "Welcome!"),
        *(SeedBot("is", "x", f"{n}") for n in range(3)),
    )
    await caller.process(*(_from(vendor, f"wamid.known.{n}", f"9997{n:08}") for n in (0, 4, 8)))
    backend.change(
        "whatsapp_message_logs", {"created_at": "2020-01-01 00:00:00"}, vendors__id=vendor.id
    )
    batches = [
        [
            says(
                vendor,
                "x",
                [(hello, "welcome"), (bot, "is")],
                wamid=f"wamid.{n}",
                sender=f"9997{n % 12:08}",
                from_user_id=f"GB.{n % 12}",
            )
            for n in range(first, first + 16)
        ]
        for first, bot in zip((0, 8, 4), bots, strict=True)
    ]
    batches[1].reverse()
    answers = await at_once(backend, vendor, *(caller.process(*batch) for batch in batches))
    assert set(_results(answers)) == {"done"}
    said: dict[str, set[tuple[str, ...]]] = {}
    for batch, results in zip(batches, answers, strict=True):
        for update, answer in zip(batch, results, strict=True):
            wamid = update["payload"]["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
            said.setdefault(wamid, set()).add(tuple(reply.id for reply in sends(answer)))
    stored = [row for row in _texts(backend, vendor, incoming=True) if row["message"] == "x"]
    assert sorted(row["wamid"] for row in stored) == sorted(said)
    kept = {row["wamid"]: row["__data"]["sidecar"].get("effects", []) for row in stored}
    assert {w: {tuple(one["id"] for one in kept[w])} for w in kept} == said
    contacts = backend.rows("contacts", vendors__id=vendor.id)
    assert sorted(row["wa_id"] for row in contacts) == [f"9997{n:08}" for n in range(12)]
    welcomes = [r for r in _texts(backend, vendor, incoming=False) if r["message"] == "Welcome!"]
    assert {row["contacts__id"] for row in welcomes} == {row["_id"] for row in contacts}
    assert len(welcomes) == 12


async def test_a_message_that_comes_twice(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Other bots match the second time: what was decided first holds, whoever asks."""
    bots = backend.seed_bots(vendor, *(SeedBot("is", "hi", f"{n}") for n in range(3)))
    updates = [says(vendor, "hi", [(bot, "is")], wamid="wamid.twice") for bot in bots]
    answers = await at_once(backend, vendor, *(caller.process(one) for one in updates))
    assert _results(answers) == ["done"] * 3
    said = {tuple(reply.id for reply in sends(one)) for (one,) in answers}
    [kept] = _texts(backend, vendor, incoming=True)
    [reply] = _texts(backend, vendor, incoming=False)
    assert said == {(reply["_uid"],)}
    assert [one["id"] for one in kept["__data"]["sidecar"]["effects"]] == [reply["_uid"]]


async def test_raw_webhooks(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    elements = [message_object("wamid.raw", CUSTOMER), message_object("wamid.other", CUSTOMER)]
    value = messaging(vendor, contacts=[{"wa_id": CUSTOMER}], messages=elements)
    body = orjson.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]})
    answers = await at_once(backend, vendor, *(caller.process_raw(vendor, body) for _ in range(3)))
    assert {answer.result for answer in answers} == {"done"}
    assert len(backend.rows("contacts", vendors__id=vendor.id)) == 1
    assert len(backend.rows("whatsapp_message_logs", vendors__id=vendor.id)) == 2


async def test_a_contact_who_is_merged_away_takes_no_message_along(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    for wamid, ids in (("wamid.n", (CUSTOMER, None)), ("wamid.u", (None, USER))):
        await caller.process(_from(vendor, wamid, *ids))
    kept, other = backend.rows("contacts", vendors__id=vendor.id)
    answers = await at_once(
        backend,
        vendor,
        caller.process(_from(vendor, "wamid.both", CUSTOMER, USER)),
        caller.process(_from(vendor, "wamid.user", None, USER)),
        caller.process(_from(vendor, "wamid.again", CUSTOMER, USER)),
        caller.process(_synced(vendor, CUSTOMER, "Ada Stone")),
    )
    assert set(_results(answers)) == {"done"}
    logs = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [log["contacts__id"] for log in logs] == [kept["_id"]] * 5
    [contact] = backend.rows("contacts", _id=kept["_id"])
    assert (contact["wa_id"], contact["__data"]["user_id"]) == (CUSTOMER, USER)
    [gone] = backend.rows("contacts", _id=other["_id"])
    assert (gone["wa_id"], gone["__data"]) == (None, {"sidecar": {"merged_into": kept["_uid"]}})


def _from(
    vendor: Vendor, wamid: str, number: str | None, user: str | None = None
) -> dict[str, Any]:
    ids = {} if user is None else {"from_user_id": user}
    contact = {"wa_id": number} if number else {}
    contact |= {"user_id": user} if user else {}
    return message(vendor, message_object(wamid, number, **ids), contacts=[contact])


def _synced(vendor: Vendor, number: str, name: str) -> dict[str, Any]:
    contact = {"full_name": name, "phone_number": number}
    value = {"state_sync": [{"type": "contact", "action": "add", "contact": contact}]}
    return change(vendor, "smb_app_state_sync", value)


async def test_preferences_of_one_contact(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """What was said last counts."""
    await caller.process(_from(vendor, "wamid.1", CUSTOMER))
    said = [("resume", 10), ("stop", 30), ("resume", 20)]
    answers = await at_once(
        backend,
        vendor,
        *(
            caller.process(
                change(
                    vendor,
                    "user_preferences",
                    {
                        "user_preferences": [
                            {
                                "wa_id": CUSTOMER,
                                "category": "marketing_messages",
                                "value": value,
                                "timestamp": at,
                            }
                        ]
                    },
                )
            )
            for value, at in said
        ),
    )
    assert _results(answers) == ["done"] * 3
    [contact] = backend.rows("contacts", vendors__id=vendor.id)
    assert contact["whatsapp_opt_out"] == 1
    assert contact["__data"]["sidecar"]["marketing_preference"] == {"value": "stop", "at": 30_000}


async def test_corrections_of_one_message(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    await caller.process(says(vendor, "old", wamid="wamid.said"))
    elements = [
        edit("wamid.e1", "wamid.said", "first", at=T0 + 10),
        edit("wamid.e2", "wamid.said", "second", at=T0 + 20),
        revoke("wamid.r", "wamid.said", at=T0 + 30),
    ]
    answers = await at_once(
        backend, vendor, *(caller.process(message(vendor, one)) for one in elements)
    )
    assert _results(answers) == ["done"] * 3
    [row] = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    sidecar = row["__data"]["sidecar"]
    assert {one["id"] for one in sidecar["corrections"]} == {"wamid.e1", "wamid.e2", "wamid.r"}
    assert (row["message"], sidecar["revoked_at"]) == (None, (T0 + 30) * 1000)


async def test_claims(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    campaign = backend.seed_campaign(vendor, 8)
    answers = await at_once(
        backend, vendor, *(caller.claim(campaign, 3, claim_uid=f"{n}") for n in range(3))
    )
    taken = [row.uid for answer in answers for row in answer.rows]
    assert sorted(taken) == sorted(campaign.row_uids)


async def test_results_statuses_and_releases_of_the_same_rows(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """The results come twice, and the statuses before them."""
    campaign = backend.seed_campaign(vendor, 20)
    await caller.claim(campaign, 20)
    uids = campaign.row_uids
    reports = [accepted(campaign, uid, user_id=f"GB.{n}") for n, uid in enumerate(uids)]
    updates = [
        status(vendor, status_object(wamid_of(uid), "delivered", row_uid=uid)) for uid in uids
    ]

    async def released() -> list[UpdateResult]:
        await caller.release(campaign, uids[:10], claim_uid="another")
        return []

    answers = await at_once(
        backend,
        vendor,
        caller.report(*reports),
        caller.process(*reversed(updates)),
        caller.report(*reversed(reports)),
        caller.process(*updates),
        released(),
    )
    assert set(_results(answers)) == {"done"}
    assert backend.rows("whatsapp_message_queue", campaigns__id=campaign.id) == []
    logs = backend.rows("whatsapp_message_logs", campaigns__id=campaign.id)
    assert sorted(log["wamid"] for log in logs) == sorted(map(wamid_of, uids))
    assert {log["status"] for log in logs} == {"delivered"}
    assert all(log["__data"]["initial_response"] for log in logs)


async def test_outcomes_of_the_same_row_that_differ(
    caller: Caller, backend: LaravelBackend, campaign: Campaign
) -> None:
    """The first one holds."""
    await caller.claim(campaign)
    (uid, *_) = campaign.row_uids
    answers = await at_once(
        backend,
        campaign.vendor,
        caller.report(failed(campaign, uid)),
        caller.report(result(campaign, uid, "requeue", due_at=now_ms() + 60_000)),
        caller.report(result(campaign, uid, "unknown")),
    )
    assert sorted(_results(answers)) == ["done", "ignored", "ignored"]
    [row] = backend.rows("whatsapp_message_queue", _uid=uid)
    assert len(row["__data"]["sidecar"]["results"]) == 1


async def test_two_who_resolve_and_two_who_retry(
    caller: Caller, backend: LaravelBackend, campaign: Campaign
) -> None:
    vendor = campaign.vendor
    await caller.claim(campaign)
    first, second, third = campaign.row_uids
    await caller.report(
        result(campaign, first, "unknown"), failed(campaign, second), failed(campaign, third)
    )
    resolving = {"row_uids": [first]}
    answers = await at_once(
        backend,
        vendor,
        caller.call(contract.RESOLVE_MESSAGES, {**resolving, "action": "resend"}),
        caller.call(contract.RESOLVE_MESSAGES, {**resolving, "action": "give_up"}),
    )
    said = [answer["results"][0]["result"] for answer in answers]
    assert sorted(said) == ["done", "ignored"]
    [row] = backend.rows("whatsapp_message_queue", _uid=first)
    assert row["status"] == (QueueStatus.QUEUED if said[0] == "done" else QueueStatus.ERROR)
    retried = await at_once(backend, vendor, *(caller.retry(campaign) for _ in range(3)))
    assert sorted(one.retried for one in retried) == [0, 0, 2]


async def test_modes_media_and_webhooks(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    await caller.process(says(vendor, "See", wamid="wamid.media"))
    request = await request_for(caller, {vendor.uid: {"bots": "shadow"}})
    told = {"id": "m", "vendor_uid": vendor.uid, "media_id": "7", "wamid": "wamid.media", "at": 1}
    webhook = {"vendor_uid": vendor.uid, "received_at": 0, "headers": {}, "body": "{}"}
    webhooks = [{"id": f"{vendor.uid}:{n}", **webhook} for n in range(5)]
    disconnect = {
        "event": "PARTNER_REMOVED",
        "waba_info": {"waba_id": vendor.business_account_id},
    }

    async def switched() -> int:
        return (await caller.signed(contract.MODES, orjson.dumps(request))).status

    assert sorted(await at_once(backend, vendor, switched(), switched(), switched())) == [
        *(200, 409, 409)
    ]
    found = await modes_of(caller, vendor, history=True)
    assert (found.modes.bots.value, len(found.history)) == ("shadow", 1)
    await at_once(
        backend,
        vendor,
        caller.call(contract.MEDIA, {"media": [{**told, "state": "failed", "reason": "gone"}]}),
        caller.call(contract.MEDIA, {"media": [{**told, "state": "stored", "path": "a/b.jpg"}]}),
        caller.call(contract.STORE_WEBHOOKS, {"webhooks": webhooks}),
        caller.call(contract.STORE_WEBHOOKS, {"webhooks": webhooks[::-1]}),
    )
    [row] = _texts(backend, vendor, incoming=True)
    assert row["__data"]["media"]["state"] == "stored"
    assert len(backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)) == 5
    answers = await at_once(
        backend,
        vendor,
        *(caller.process(change(vendor, "account_update", disconnect)) for _ in range(3)),
    )
    assert _results(answers) == ["done"] * 3
    name = "whatsapp_account_disconnected_at"
    assert len(backend.rows("vendor_settings", vendors__id=vendor.id, name=name)) == 1


async def test_answers_of_an_ai(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """One holds, and all are told it."""
    backend.seed_effects(vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"))
    (asked,) = await caller.process(says(vendor, "Do you ship?"))
    base = {"id": question(asked).id, "vendor_uid": vendor.uid, "outcome": "answered", "at": 1}
    answers = await at_once(
        backend,
        vendor,
        *(
            caller.call(contract.AI_ANSWERS, {"answers": [{**base, "text": text}]})
            for text in ("Yes.", "No. " * 2000, "Perhaps.")
        ),
    )
    said = [[one["id"] for one in answer["results"][0]["effects"]] for answer in answers]
    assert said == [said[0]] * 3
    stored = _texts(backend, vendor, incoming=False)
    assert sorted(row["_uid"] for row in stored) == sorted(said[0])


async def test_how_far_redis_has_come(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """It stands with the first vendor. Whoever is late hears of the highest, not of its own."""
    kept = (await caller.call(contract.EPOCH, {"epoch": 1, "at": 1}))["epoch"]
    first = min(row["_id"] for row in backend.rows("vendors"))
    low, high = kept + 10, kept + 20
    with locked(backend.database, first):
        calls = []
        for epoch in (high, low):
            request = {"epoch": epoch, "at": 1}
            calls.append(asyncio.create_task(caller.call(contract.EPOCH, request)))
            await eventually(lambda: waiting(backend.database) == len(calls))
    assert [(await call)["epoch"] for call in calls] == [high, high]
