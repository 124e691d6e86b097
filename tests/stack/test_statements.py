"""How many SQL statements a batch takes: as many for a large one as for a small one."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from contracts.backend import (
    AI_ANSWERS,
    BOTS,
    FIND,
    OBSERVE,
    PENDING_EFFECTS,
    PENDING_WEBHOOKS,
    PREVIEW_MESSAGES,
    RESOLVE_MESSAGES,
    RETRY_MESSAGES,
    STORE_WEBHOOKS,
    QueueStatus,
)
from contracts.effects import AiProvider
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    accepted,
    echo,
    failed,
    message,
    message_object,
    now_ms,
    result,
    status,
    status_object,
    wamid_of,
)
from tests.contract.switching import switch
from tests.contract.talk import outcome, question, says, sends, sent
from tests.contract.test_corrections import edit
from tests.contract.under_test import Campaign, Vendor

#: The statements that a connection begins with, which every call of PHP's makes anew.
CONNECT = 2


async def _statements(backend: LaravelBackend, call: Callable[[], Awaitable[object]]) -> int:
    before = backend.database.statements()
    await call()
    return backend.database.statements() - before


async def test_a_claim(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    campaign = backend.seed_campaign(vendor, 300)
    small = await _statements(backend, lambda: caller.claim(campaign, 5, fence=1))
    large = await _statements(backend, lambda: caller.claim(campaign, 250, fence=2))
    assert large == small
    assert large <= CONNECT + 13, "one of them where vendors have other modes"


async def test_a_claim_of_contacts_who_get_nothing(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    counts = []
    for messages in (9, 300):
        campaign = backend.seed_campaign(vendor, messages)
        of_campaign = "whatsapp_message_queue WHERE campaigns__id = ?"
        third = f"SELECT contacts__id FROM {of_campaign} AND _id % 3 = 0"
        backend.change("contacts", {"whatsapp_opt_out": 1}, vendors__id=vendor.id)
        for sql in (
            f"UPDATE contacts SET wa_blocked_at = NOW() WHERE _id IN ({third})",
            "UPDATE whatsapp_message_queue SET contacts__id = NULL"
            " WHERE campaigns__id = ? AND _id % 3 = 1",
        ):
            backend.run(sql, (campaign.id,))
        counts.append(await _statements(backend, partial(caller.claim, campaign, messages)))
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 15


async def _claimed(caller: Caller, vendor: Vendor, messages: int) -> Campaign:
    campaign = caller.backend.seed_campaign(vendor, messages)
    await caller.claim(campaign, messages)
    return campaign


async def test_results(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    counts = []
    for messages in (4, 250):
        campaign = await _claimed(caller, vendor, messages)
        reports = [
            failed(campaign, uid)
            if position % 4 == 1
            else result(campaign, uid, "unknown")
            if position % 4 == 2
            else accepted(
                campaign, uid, wa_id=f"99{campaign.id:05}{position:05}", user_id=f"GB.{uid}"
            )
            for position, uid in enumerate(campaign.row_uids)
        ]
        counts.append(await _statements(backend, partial(caller.report, *reports)))
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 12


async def test_statuses(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """First and later statuses, early ones, and failures: of all kinds in one batch."""
    backend.set_setting(vendor, "enable_requeue_healthy_error_msg", "1")
    counts = []
    for messages in (4, 1000):
        campaign = await _claimed(caller, vendor, messages)
        early = {uid for position, uid in enumerate(campaign.row_uids) if position % 4 == 3}
        await caller.report(*(accepted(campaign, u) for u in campaign.row_uids if u not in early))
        updates = []
        for position, uid in enumerate(campaign.row_uids):
            name = "failed" if position % 4 == 1 else "delivered"
            code = 131049 if name == "failed" else None
            element = status_object(wamid_of(uid), name, row_uid=uid, code=code)
            updates.append(status(vendor, element))
        counts.append(await _statements(backend, partial(caller.process, *updates)))
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 14


async def test_taking_over_webhooks(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Both halves of it in one call: what was taken goes, and the next page comes."""
    backend.delete("whatsapp_webhook_queue")
    webhook = {"vendor_uid": vendor.uid, "received_at": 0, "headers": {}, "body": "{}"}
    counts = []
    for size in (2, 500):
        batch = [{"id": f"counted-{size}-{n}", **webhook} for n in range(2 * size)]
        await caller.call(STORE_WEBHOOKS, {"webhooks": batch})
        page = await caller.call(PENDING_WEBHOOKS, {"limit": size})
        taken = [one["uid"] for one in page["webhooks"]]
        request = {"limit": size, "taken": taken}
        counts.append(await _statements(backend, partial(caller.call, PENDING_WEBHOOKS, request)))
        assert len(backend.rows("whatsapp_webhook_queue")) == size
        backend.delete("whatsapp_webhook_queue")
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 8


async def test_resolving_messages_of_unknown_outcome(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    counts = []
    for messages in (4, 500):
        campaign = await _claimed(caller, vendor, messages)
        await caller.report(*(result(campaign, uid, "unknown") for uid in campaign.row_uids))
        for action, uids in (
            ("resend", campaign.row_uids[::2]),
            ("give_up", campaign.row_uids[1::2]),
        ):
            request = {"row_uids": list(uids), "action": action}
            counts.append(
                await _statements(backend, partial(caller.call, RESOLVE_MESSAGES, request))
            )
        left = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
        assert {row["status"] for row in left} == {QueueStatus.QUEUED, QueueStatus.ERROR}
    assert len(set(counts)) == 1
    assert counts[0] <= CONNECT + 6


async def test_retrying_failed_messages(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    counts = []
    for messages in (4, 500):
        campaign = await _claimed(caller, vendor, messages)
        await caller.report(*(failed(campaign, uid) for uid in campaign.row_uids))
        request = {"vendor_uid": vendor.uid, "campaign_uid": campaign.uid}
        call = partial(caller.call, RETRY_MESSAGES, request)
        counts.append(await _statements(backend, call))
        left = backend.rows("whatsapp_message_queue", campaigns__id=campaign.id)
        assert {row["status"] for row in left} == {QueueStatus.QUEUED}
    assert counts[0] == counts[1]
    assert counts[1] <= CONNECT + 9


async def test_a_message_that_a_bot_answers(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """Vendor, log, contact, what the bot says, message and reply in one, and a transaction's three;
    whose welcome it is takes one more."""
    hello, is_open = backend.seed_bots(
        vendor, SeedBot("welcome", None, "Hi."), SeedBot("is", "open", "At nine.")
    )
    await caller.process(says(vendor, "Hi"))
    matches = [(is_open, "is")]
    counts = [
        await _statements(backend, partial(caller.process, says(vendor, "open", bots)))
        for bots in ([], matches, [*matches, (hello, "welcome")])
    ]
    assert counts == [CONNECT + 7, CONNECT + 8, CONNECT + 9]


#: Of a customer's message, where ten or more come together.
MAX_EACH = 2


def _from(sender: str, user: str | None = None) -> dict[str, Any]:
    return {"sender": sender, "from_user_id": user} if user else {"sender": sender}


async def test_customers_messages(caller: Caller, backend: LaravelBackend) -> None:
    """Of strangers; of the same people, whose user ids are new; of people of whom all is known.
    Several vendors' take as many as one's."""
    counts = []
    for size, vendors in ((10, 1), (60, 1), (60, 4)):
        some = [backend.seed_vendor() for _ in range(vendors)]
        people = [(some[n % vendors], f"9996{size:03}{n:05}") for n in range(size)]
        counts.append(
            [
                await _statements(backend, partial(caller.process, *updates))
                for updates in (
                    [says(one, "Hi", **_from(number)) for one, number in people],
                    [says(one, "Hi", **_from(number, f"GB.{number}")) for one, number in people],
                    [says(one, "Hi", **_from(number, f"GB.{number}")) for one, number in people],
                )
            ]
        )
    assert counts == [counts[0]] * len(counts)
    assert counts[0] == [CONNECT + 10, CONNECT + 11, CONNECT + 8]
    assert max(counts[0]) <= MAX_EACH * 10, "two for each of ten at most"


async def test_customers_messages_with_everything(caller: Caller, backend: LaravelBackend) -> None:
    """All in one: people of whom nothing is known, and who write twice; welcomes, bots that switch
    something, bots that are matched here, an AI, replies to earlier messages, echoes."""
    counts = []
    for size in (10, 100):
        vendor = backend.seed_vendor()
        backend.seed_effects(vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"))
        hello, stop = backend.seed_bots(
            vendor, SeedBot("welcome", None, "Hi."), SeedBot("stop_promotional", "stop", "Bye.")
        )
        known = [says(vendor, "Hi", sender=f"9995{n:08}") for n in range(0, size, 2)]
        await caller.process(*known)
        welcome, off = [(hello, "welcome")], [(stop, "stop_promotional")]
        updates = [
            says(
                vendor,
                "What?",
                (welcome, off, None, [])[n % 4],
                sender=f"9995{n // 2:08}",
                from_user_id=f"GB.{n // 2}",
                context={"id": f"wamid.{n}"},
            )
            for n in range(size)
        ]
        own = message_object(f"wamid.{size}", "99900000000", to="999500000001")
        updates[-1] = echo(vendor, own)
        counts.append(await _statements(backend, partial(caller.process, *updates)))
    assert counts[0] == counts[1]
    assert counts[1] <= MAX_EACH * 10 + 3, "at most this, where everything comes together"


async def test_messages_that_do_not_go_with_others(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    """An edit among a hundred messages costs what it costs alone, and the way there and back."""
    people = [f"9994{n:08}" for n in range(101)]
    await caller.process(*(says(vendor, "Hi", sender=one, wamid=one) for one in people))
    plain = [says(vendor, "Hi", sender=one) for one in people]
    edited = [*plain[:50], message(vendor, edit("wamid.edit", people[0])), *plain[51:]]
    statements = await _statements(backend, partial(caller.process, *edited))
    assert statements <= CONNECT + 2 + 6 + 5 + 6


async def test_bots_of_many_vendors(caller: Caller, backend: LaravelBackend) -> None:
    vendors = [backend.seed_vendor() for _ in range(20)]
    for vendor in vendors:
        backend.seed_bots(vendor, *[SeedBot("is", "a", "A")] * 10)
    counts = [
        await _statements(
            backend, partial(caller.call, BOTS, {"vendor_uids": [one.uid for one in some]})
        )
        for some in (vendors[:1], vendors)
    ]
    assert counts == [CONNECT + 2] * 2


async def test_results_of_messages(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    counts = []
    for messages in (4, 200):
        updates = [says(vendor, "open", [(bot, "is")]) for _ in range(messages)]
        uids = [sends(one)[0].id for one in await caller.process(*updates)]
        early = uids[3::4]
        reports = [
            outcome(vendor, uid, ("failed", "unknown")[position % 4 - 1])
            if position % 4 in (1, 2)
            else sent(vendor, uid, wa_id=f"9999{position:05}", user_id=f"GB.{position}")
            for position, uid in enumerate(uids)
        ]
        statuses = [
            status(vendor, status_object(f"wamid.of.{uid}", "sent", row_uid=uid)) for uid in early
        ]
        counts.append(
            (
                await _statements(backend, partial(caller.process, *statuses)),
                await _statements(backend, partial(caller.report, *reports)),
            )
        )
        rows = [backend.rows("whatsapp_message_logs", _uid=uid)[0]["status"] for uid in uids[:4]]
        assert rows == ["accepted", "failed", "unknown", "sent"]
    assert counts[0] == counts[1]
    assert max(counts[1]) <= CONNECT + 9


async def test_answers_of_ais(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    backend.seed_effects(vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"))
    counts = []
    for messages in (2, 100):
        updates = [
            says(vendor, "Hello?", sender=f"9997{messages}{position}")
            for position in range(messages)
        ]
        ids = [question(one).id for one in await caller.process(*updates)]
        base = {"vendor_uid": vendor.uid, "outcome": "answered", "text": "Yes.", "at": 1}
        request = {"answers": [{"id": id_, **base} for id_ in ids]}
        first = await _statements(backend, partial(caller.call, AI_ANSWERS, request))
        again = await _statements(backend, partial(caller.call, AI_ANSWERS, request))
        counts.append((first, again))
    assert counts[0] == counts[1]
    assert max(counts[1]) <= CONNECT + 8


async def test_effects_of_which_nothing_is_known(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.seed_effects(vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1"))
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    counts = []
    for messages in (2, 100):
        await caller.process(
            *(
                says(vendor, "open", [[(bot, "is")], []][n % 2], sender=f"9991{messages:03}{n:04}")
                for n in range(2 * messages)
            )
        )
        requests = [
            {"kind": kind, "older_than_s": 0, "limit": 4 * messages}
            for kind in ("send_message", "ai_reply")
        ]
        counts.append(
            [
                await _statements(backend, partial(caller.call, PENDING_EFFECTS, request))
                for request in requests
            ]
        )
    assert counts[0] == counts[1] == [CONNECT + 2, CONNECT + 3]


async def test_messages_that_come_again(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    (bot,) = backend.seed_bots(vendor, SeedBot("is", "open", "At nine."))
    counts = []
    for messages in (2, 200):
        updates = [says(vendor, "open", [(bot, "is")]) for _ in range(messages)]
        await caller.process(*updates)
        counts.append(await _statements(backend, partial(caller.process, *updates)))
    assert counts == [CONNECT + 3] * 2


async def test_looking_at_messages(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    counts = []
    for messages in (2, 200):
        campaign = await _claimed(caller, vendor, messages)
        await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
        await caller.process(
            *(says(vendor, "Hi", None, wamid=f"w.{messages}.{n}") for n in range(messages))
        )
        wamids = [wamid_of(uid) for uid in campaign.row_uids]
        wamids += [f"w.{messages}.{n}" for n in range(messages)]
        asked = [{"vendor_uid": vendor.uid, "wamid": wamid} for wamid in wamids]
        call = partial(caller.call, OBSERVE, {"messages": asked})
        counts.append(await _statements(backend, call))
    assert counts == [CONNECT + 2] * 2


async def test_a_preview(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """Of what is queued, and of what has ended: of another vendor, and of some in shadow. One
    statement is the test application's own, which looks up whose the vendors are."""
    backend.leave_to_php(vendor)
    counts: list[list[int]] = []
    for messages in (2, 200):
        queued = backend.seed_campaign(vendor, messages)
        request = {"campaign_uid": queued.uid, "limit": 1000}
        counts.append([await _statements(backend, partial(caller.call, PREVIEW_MESSAGES, request))])
        ended = {"ended_since": now_ms(), "limit": 1000}
        shadowed = backend.seed_vendor()
        campaign = await _claimed(caller, shadowed, messages)
        await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
        call = partial(caller.call, PREVIEW_MESSAGES, ended)
        counts[-1].append(await _statements(backend, call))
        await switch(caller, shadowed, campaigns="shadow")
        counts[-1].append(await _statements(backend, call))
        for _ in range(1 + messages // 10):
            other = backend.seed_campaign(shadowed, 1)
            backend.run(
                "UPDATE whatsapp_message_queue SET status = 5, updated_at = NOW()"
                " WHERE campaigns__id = ?",
                (other.id,),
            )
        counts[-1].append(await _statements(backend, call))
        await switch(caller, shadowed, campaigns="sidecar")
    assert counts == [[CONNECT + 4, CONNECT + 3, CONNECT + 8, CONNECT + 8]] * 2


async def test_a_search(caller: Caller, backend: LaravelBackend, vendor: Vendor) -> None:
    """Of a person with many messages, and of a name that many have."""
    counts = []
    for messages in (2, 250):
        campaign = await _claimed(caller, vendor, messages)
        await caller.report(*(accepted(campaign, uid) for uid in campaign.row_uids))
        for query in (campaign.recipients[0], "Ada", wamid_of(campaign.row_uids[0])):
            call = partial(caller.call, FIND, {"query": query, "vendor_uid": vendor.uid})
            counts.append(await _statements(backend, call))
    assert counts[:3] == counts[3:]
    assert counts[:3] == [CONNECT + 6, CONNECT + 9, CONNECT + 6]
