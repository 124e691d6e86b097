"""A chaos suite that cannot fail is worth nothing: each kind of damage is planted once."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from contracts.backend import QueueStatus
from simulator.chaos.evidence import Evidence, LogRow, QueueRow, Redis, Update
from simulator.chaos.fault import Fault, Kind
from simulator.chaos.injector import Injected
from simulator.chaos.verdict import Verdict
from simulator.odd_outcome import LoggedMessage, OddEvidence

RATE = 80.0
BEGAN_AT = 1_000_000.0
ROW, OTHER = "row-1", "row-2"


def message(row_uid: str, statuses: dict[str, bool] | None = None) -> dict[str, Any]:
    if statuses is None:
        statuses = {"sent": True, "delivered": True, "read": True}
    return {"wamid": f"wamid.{row_uid}", "callback_data": row_uid, "statuses": statuses}


def logged(row_uid: str, status: str) -> LogRow:
    return LogRow(row_uid, f"wamid.{row_uid}", status)


def queued(row_uid: str, status: int, *, due: bool = True, changed_at: float = 0.0) -> QueueRow:
    return QueueRow(row_uid, status, due, changed_at or BEGAN_AT + 2)


def injected(kind: Kind, target: str = "", calls: int = 0) -> Injected:
    return Injected(Fault(1.0, kind, target), BEGAN_AT, BEGAN_AT + 1, calls)


#: Two messages that were read, and a customer's message.
CLEAN = Evidence(
    seeded=[ROW, OTHER],
    rate=RATE,
    injected=[],
    messages=[message(ROW), message(OTHER)],
    inbound=[{"wamid": "wamid.in", "acknowledged": True}],
    mishaps=[],
    queue={},
    outgoing=[logged(ROW, "read"), logged(OTHER, "read")],
    incoming=["wamid.in"],
    pending=set(),
    redis=Redis(),
    differences=[],
    ended=[],
    rested=True,
)


def with_row(status: int, *, accepted: bool, due: bool = True, **more: Any) -> Evidence:
    """Row OTHER is still in the queue; if it was accepted, no status of it has come yet."""
    sent = [message(OTHER, {})] if accepted else []
    changes = {
        "messages": [message(ROW), *sent],
        "outgoing": [logged(ROW, "read")],
        "queue": {OTHER: queued(OTHER, status, due=due)},
    }
    return replace(CLEAN, **{**changes, **more})


def broken(evidence: Evidence) -> dict[str, int]:
    """Return the promises that are broken, and how often."""
    line = Verdict(evidence).line()
    counts = (
        *("lost", "sent_twice", "stuck", "unknown_unexplained", "ended"),
        *("odd_lost", "odd_otherwise", "wrongly_answered"),
        *("failed_unexplained", "sent_to_opted_out", "untold", "forwarded_wrongly"),
        *("too_fast", "too_slow"),
    )
    found = {name: line[name] for name in counts if line[name]}
    return found | ({} if line["accounting"] else {"accounting": 1})


def test_a_clean_round() -> None:
    verdict = Verdict(CLEAN)
    assert verdict.violations == []
    line = verdict.line()
    assert (line["acknowledged"], line["applied"], line["sent"]) == (7, 7, 2)
    assert broken(CLEAN) == {}


# -- lost --


def test_a_customers_message_is_lost() -> None:
    evidence = replace(CLEAN, incoming=[])
    assert broken(evidence) == {"lost": 1}
    assert Verdict(evidence).line()["applied"] == 6


def test_a_message_that_was_not_acknowledged_may_be_missing() -> None:
    inbound = [{"wamid": "wamid.in", "acknowledged": False}]
    assert broken(replace(CLEAN, inbound=inbound, incoming=[])) == {}


@pytest.mark.parametrize("status", ["accepted", "sent", "failed", "delivered"])
def test_a_status_is_lost(status: str) -> None:
    assert broken(replace(CLEAN, outgoing=[logged(ROW, status), logged(OTHER, "read")]))["lost"] > 0


def test_statuses_of_a_message_that_the_log_does_not_have() -> None:
    assert broken(replace(CLEAN, outgoing=[logged(ROW, "read")])) == {"lost": 4}


def test_a_failed_message_may_have_been_sent_before() -> None:
    messages = [message(ROW, {"sent": True, "failed": True}), message(OTHER)]
    outgoing = [logged(ROW, "failed"), logged(OTHER, "read")]
    assert broken(replace(CLEAN, messages=messages, outgoing=outgoing)) == {}


def test_what_is_in_the_dead_letters_is_not_lost() -> None:
    evidence = replace(CLEAN, incoming=[], redis=Redis(dead={"wamid.in"}))
    assert broken(evidence) == {}
    line = Verdict(evidence).line()
    assert (line["applied"], line["dead_lettered"]) == (6, 1)


def test_what_php_has_stored_is_not_lost_but_stuck() -> None:
    assert broken(replace(CLEAN, incoming=[], pending={Update("wamid.in")})) == {"stuck": 1}


def test_a_row_that_is_gone_without_a_message() -> None:
    evidence = replace(CLEAN, messages=[message(ROW)], outgoing=[logged(ROW, "read")])
    assert broken(evidence) == {"lost": 1}


# -- sent twice --


def test_a_row_is_sent_twice() -> None:
    again = {**message(ROW), "wamid": "wamid.again"}
    outgoing = [*CLEAN.outgoing, LogRow(ROW, "wamid.again", "read")]
    evidence = replace(CLEAN, messages=[*CLEAN.messages, again], outgoing=outgoing)
    assert broken(evidence) == {"sent_twice": 2}  # by the Cloud API, and in the log


def test_a_customers_message_is_stored_twice() -> None:
    assert broken(replace(CLEAN, incoming=["wamid.in", "wamid.in"])) == {"sent_twice": 1}


def test_a_message_is_logged_twice() -> None:
    assert (
        broken(replace(CLEAN, outgoing=[*CLEAN.outgoing, logged(ROW, "read")]))["sent_twice"] == 2
    )


# -- stuck --


@pytest.mark.parametrize("accepted", [True, False])
def test_a_row_stays_in_processing(accepted: bool) -> None:
    assert broken(with_row(QueueStatus.PROCESSING, accepted=accepted)) == {"stuck": 1}


def test_a_row_is_due_and_not_sent() -> None:
    assert broken(with_row(QueueStatus.QUEUED, accepted=False)) == {"stuck": 1}
    assert broken(with_row(QueueStatus.QUEUED, accepted=False, due=False)) == {}


def test_a_row_ends_unsent() -> None:
    assert broken(with_row(QueueStatus.EXPIRED, accepted=False)) == {}


def test_a_row_waits_for_a_status() -> None:
    outgoing = [logged(ROW, "read"), logged(OTHER, "accepted")]
    evidence = with_row(QueueStatus.AWAITING_STATUS, accepted=True, outgoing=outgoing)
    assert broken(evidence) == {}
    messages = [message(ROW), message(OTHER, {"sent": True})]
    outgoing = [logged(ROW, "read"), logged(OTHER, "sent")]
    assert broken(replace(evidence, messages=messages, outgoing=outgoing)) == {"stuck": 1}


def test_a_row_waits_for_a_status_of_nothing() -> None:
    assert broken(with_row(QueueStatus.AWAITING_STATUS, accepted=False)) == {"stuck": 1}


@pytest.mark.parametrize(
    "redis",
    [
        Redis(ledgers={ROW: "s:claim:number"}),
        Redis(waiting=["inbox:messages:vendor"]),
        Redis(waiting=["claims:campaign"]),
    ],
)
def test_something_is_left_in_redis(redis: Redis) -> None:
    assert broken(replace(CLEAN, redis=redis)) == {"stuck": 1}


def test_something_does_not_come_to_its_end() -> None:
    assert broken(replace(CLEAN, rested=False)) == {"stuck": 1}


# -- unknown --


def unknown(*, accepted: bool = False, **more: Any) -> Evidence:
    return with_row(QueueStatus.UNKNOWN, accepted=accepted, **more)


def test_unknown_without_a_reason() -> None:
    assert broken(unknown()) == {"unknown_unexplained": 1}
    assert Verdict(unknown()).line()["unknown"] == 1


def test_unknown_though_its_status_was_acknowledged() -> None:
    evidence = unknown(
        messages=[message(ROW), message(OTHER, {"sent": True})],
        outgoing=[logged(ROW, "read"), logged(OTHER, "sent")],
        injected=[injected(Kind.CRASH, "worker-1")],
    )
    assert broken(evidence) == {"unknown_unexplained": 1}


@pytest.mark.parametrize(
    "fault",
    [
        injected(Kind.CRASH, "worker-1"),
        injected(Kind.SUSPEND, "worker-2"),
        injected(Kind.CRASH, "redis"),
        injected(Kind.SUSPEND, "redis"),
        injected(Kind.CLOCK, "redis"),
        injected(Kind.FAILOVER, "killed"),
        injected(Kind.REFUSE),
        injected(Kind.CUT, calls=1),
        injected(Kind.STALL, calls=1),
    ],
    ids=lambda one: str(one.fault),
)
def test_faults_that_explain_an_unknown(fault: Injected) -> None:
    assert broken(unknown(injected=[fault])) == {}


@pytest.mark.parametrize(
    "fault",
    [
        injected(Kind.CRASH, "sidecar"),
        injected(Kind.CRASH, "php-fpm"),
        injected(Kind.SUSPEND, "mariadb"),
        injected(Kind.CRASH, "nginx"),
        injected(Kind.RESTART, "worker-1"),
        injected(Kind.CLOCK, "worker-1"),
        injected(Kind.TOKEN, "0"),
        injected(Kind.NUMBER, "0"),
        injected(Kind.FORGET),
        injected(Kind.PAUSE, "0"),
        injected(Kind.API, "503"),
    ],
    ids=lambda one: str(one.fault),
)
def test_faults_that_do_not(fault: Injected) -> None:
    assert broken(unknown(injected=[fault])) == {"unknown_unexplained": 1}


def test_a_fault_explains_nothing_that_was_before_it() -> None:
    rows = {OTHER: queued(OTHER, QueueStatus.UNKNOWN, changed_at=BEGAN_AT - 5)}
    evidence = unknown(queue=rows, injected=[injected(Kind.CRASH, "worker-1")])
    assert broken(evidence) == {"unknown_unexplained": 1}


def test_a_fault_explains_no_more_calls_than_were_under_way() -> None:
    rows = {f"row-{n}": queued(f"row-{n}", QueueStatus.UNKNOWN) for n in range(2, 60)}
    evidence = unknown(seeded=[ROW, *rows], queue=rows, injected=[injected(Kind.CRASH, "worker-1")])
    assert broken(evidence) == {"unknown_unexplained": 58 - int(RATE * 0.4)}


@pytest.mark.parametrize(("what", "unexplained"), [("http_500", 0), ("html_500", 0), ("131026", 1)])
def test_what_the_cloud_api_answered(what: str, unexplained: int) -> None:
    mishaps = [{"callback_data": OTHER, "what": what}]
    assert Verdict(unknown(mishaps=mishaps)).line()["unknown_unexplained"] == unexplained


# -- the rest --


def test_the_accounting_does_not_balance() -> None:
    assert broken(replace(CLEAN, differences=["sends: 7 != 6"])) == {"accounting": 1}


def test_a_part_has_ended() -> None:
    assert broken(replace(CLEAN, ended=["worker-1"])) == {"ended": 1}


# -- failed, opted out, told, forwarded --


def failed(error: str, **more: Any) -> Evidence:
    row = QueueRow(OTHER, QueueStatus.ERROR, False, BEGAN_AT, error)
    return with_row(QueueStatus.ERROR, accepted=False, queue={OTHER: row}, **more)


def mishap(what: str) -> dict[str, Any]:
    return {"callback_data": OTHER, "what": what}


def test_a_row_fails_because_of_what_passes() -> None:
    outage = {"injected": [injected(Kind.OUTAGE, "error_131000")]}
    hit = failed(
        "(#131000) Something went wrong", mishaps=[mishap("outage_error_131000")], **outage
    )
    assert broken(hit) == {"failed_unexplained": 1}
    assert broken(failed("(#190) expired", mishaps=[mishap("190")])) == {"failed_unexplained": 1}


@pytest.mark.parametrize("code", ["131026", "130472"])
def test_a_row_is_refused_for_good(code: str) -> None:
    assert broken(failed("no", mishaps=[mishap(code)])) == {}


@pytest.mark.parametrize(
    "why",
    [
        "Not sent: the contact has opted out.",
        "not sent: the recipient had this error on 2026-11-29 01:34:08Z: (#131026)",
    ],
)
def test_a_row_is_spared(why: str) -> None:
    assert broken(failed(why)) == {}


def test_a_contact_that_has_opted_out_gets_a_message() -> None:
    left = replace(injected(Kind.OPT_OUT, "0"), rows=(OTHER,))
    assert broken(replace(CLEAN, injected=[left])) == {"sent_to_opted_out": 1}
    assert broken(failed("Not sent: the contact has opted out.", injected=[left])) == {}


@pytest.mark.parametrize(("named", "untold"), [(True, 0), (None, 0), (False, 1)])
def test_whether_an_outage_was_named(named: bool | None, untold: int) -> None:
    one = replace(injected(Kind.OUTAGE, "html_502"), named=named)
    assert Verdict(replace(CLEAN, injected=[one])).line()["untold"] == untold


def test_an_outage_is_named_for_too_long() -> None:
    assert broken(replace(CLEAN, problems=("cloud-api-down",))) == {"untold": 1}
    assert broken(replace(CLEAN, problems=("rows-unknown",))) == {}


@pytest.mark.parametrize(("times", "wrong"), [(0, 1), (1, 0), (2, 1)])
def test_how_often_a_message_was_forwarded(times: int, wrong: int) -> None:
    evidence = replace(CLEAN, forwarded=Counter({"wamid.in": times}))
    assert Verdict(evidence).line()["forwarded_wrongly"] == wrong


@pytest.mark.parametrize(("per_s", "too_fast"), [(50.0, 0), (25.0, 1)])
def test_a_rate_that_was_changed(per_s: float, too_fast: int) -> None:
    """40 a second for three seconds, from one second after the change on."""
    began_at = (BEGAN_AT + 2) * 1000
    messages = [
        {**message(f"row-{n}"), "phone_number_id": "1", "accepted_at": began_at + 25 * (n + 1)}
        for n in range(120)
    ]
    change = replace(injected(Kind.RATE, "0"), number="1", per_s=per_s)
    evidence = replace(CLEAN, messages=messages, injected=[change])
    assert Verdict(evidence).line()["too_fast"] == too_fast


def test_media_that_nobody_fetches() -> None:
    assert broken(replace(CLEAN, fetching=("wamid.in",))) == {"stuck": 1}


@pytest.mark.parametrize(("rows", "unexplained"), [(30, 0), (35, 5)])
def test_how_much_an_outage_may_cost(rows: int, unexplained: int) -> None:
    queue = {f"row-{n}": queued(f"row-{n}", QueueStatus.UNKNOWN) for n in range(2, 2 + rows)}
    evidence = unknown(
        seeded=[ROW, *queue],
        queue=queue,
        mishaps=[{"callback_data": uid, "what": "outage_html_502"} for uid in queue],
        injected=[injected(Kind.OUTAGE, "html_502", calls=rows)],
    )
    assert Verdict(evidence).line()["unknown_unexplained"] == unexplained


def test_what_was_reset_before_it_was_read_has_no_name() -> None:
    one = injected(Kind.OUTAGE, "reset", calls=1)
    assert broken(unknown(injected=[one])) == {}
    assert broken(unknown(injected=[injected(Kind.OUTAGE, "html_502", calls=1)])) != {}


# -- replies --


def reply(status: str, wamid: str | None = None, changed_at: float = 0.0) -> LogRow:
    return LogRow("reply-1", wamid, status, True, changed_at)


def test_a_reply_that_nobody_has_sent_yet_is_stuck() -> None:
    evidence = replace(CLEAN, outgoing=[*CLEAN.outgoing, reply("pending")])
    assert broken(evidence) == {"stuck": 1}


def test_replies_that_failed_have_no_wamid() -> None:
    other = LogRow("reply-2", None, "failed", True)
    evidence = replace(CLEAN, outgoing=[*CLEAN.outgoing, reply("failed"), other])
    assert broken(evidence) == {}


def test_a_reply_is_unknown_without_a_reason() -> None:
    evidence = replace(CLEAN, outgoing=[*CLEAN.outgoing, reply("unknown")])
    assert broken(evidence) == {"unknown_unexplained": 1}
    died = replace(evidence, injected=[injected(Kind.CRASH, "worker-1")])
    died = replace(died, rate=10.0, outgoing=[*CLEAN.outgoing, reply("unknown", None, 10**10)])
    assert broken(died) == {}


def test_a_reply_is_sent_twice() -> None:
    sent = message("reply-1")
    evidence = replace(
        CLEAN,
        messages=[*CLEAN.messages, sent, {**sent, "wamid": "wamid.again"}],
        outgoing=[*CLEAN.outgoing, reply("accepted", sent["wamid"])],
    )
    assert broken(evidence)["sent_twice"] == 1


# -- odd payloads, and who must not be answered --

USE: dict[str, Any] = {
    "kind": "odd",
    "people": ["15553600001"],
    "marks": ["wamid.odd"],
    "expect": {
        "stored": ["wamid.odd"],
        "absent": [],
        "answered": [{"people": ["15553600001"], "least": 1, "most": 1}],
        "contacts": [{"people": ["15553600001"]}],
        "ignored": {},
        "dead": 0,
    },
    "bodies": ["{}"],
    "acknowledged": 1,
}
ODD = OddEvidence(
    uses=[USE],
    messages=[],
    mishaps=[],
    log=[LoggedMessage("wamid.odd", None)],
    contacts=[{"wa_id": "15553600001", "user_id": None}],
    dead=[],
)
FREE = {"to": "+15553600001", "wa_id": "15553600001", "user_id": None, "type": "text"}


def with_odd(**changes: Any) -> Evidence:
    return replace(CLEAN, odd=replace(ODD, **changes))


def test_odd_payloads() -> None:
    assert broken(with_odd()) == {}
    assert Verdict(with_odd()).line()["odd"] == 1
    assert broken(with_odd(log=[])) == {"odd_lost": 1}
    assert broken(with_odd(log=ODD.log * 2)) == {"sent_twice": 1}
    assert broken(with_odd(messages=[FREE, FREE])) == {"wrongly_answered": 1}
    assert broken(with_odd(contacts=[])) == {"odd_otherwise": 1}


def test_an_odd_message_that_is_elsewhere() -> None:
    lost = with_odd(log=[])
    assert broken(replace(lost, redis=Redis(dead={"wamid.odd"}))) == {}
    assert "odd_lost" not in broken(replace(lost, pending={Update("wamid.odd")}))


def answered(*types: str) -> Evidence:
    """A customer writes messages of these types, and is answered once."""
    asked = [
        {"wamid": f"wamid.{n}", "acknowledged": False, "from": "4915112345678", "type": type_}
        for n, type_ in enumerate(types)
    ]
    sent = {
        **message("reply"),
        "statuses": {},
        **FREE,
        "to": "+4915112345678",
        "wa_id": "4915112345678",
    }
    return replace(CLEAN, inbound=asked, incoming=[], messages=[*CLEAN.messages, sent])


@pytest.mark.parametrize("types", [(), ("reaction",), ("system", "unsupported")])
def test_nobody_has_asked(types: tuple[str, ...]) -> None:
    assert broken(answered(*types)) == {"wrongly_answered": 1}
    assert broken(answered(*types, "text")) == {}


def test_an_answer_that_is_too_late() -> None:
    late = {"at": 1, "callback_data": "reply", "what": "131047", "to": "4915112345678"}
    assert broken(replace(CLEAN, mishaps=[late])) == {"wrongly_answered": 1}


def failover(*, switched_s: float, webhook_s: float | None, sent_s: float) -> Evidence:
    """Return a round in which the primary went, and what came so many seconds later."""
    fault = replace(
        injected(Kind.FAILOVER),
        switched_at=BEGAN_AT + switched_s,
        webhook_at=None if webhook_s is None else BEGAN_AT + webhook_s,
        recovery_s=15.0,
    )
    evidence = with_row(QueueStatus.AWAITING_STATUS, accepted=True)
    sent = {**evidence.messages[0], "accepted_at": 1000 * (BEGAN_AT + sent_s)}
    return replace(evidence, injected=[fault], messages=[sent])


@pytest.mark.parametrize(
    ("times", "slow"),
    [
        ((2.0, 3.0, 4.0), 0),
        ((2.0, 15.2, 4.0), 1),
        ((2.0, None, 4.0), 1),
        # What was sent before there was another primary does not count.
        ((2.0, 3.0, 1.0), 1),
        ((16.0, 17.0, 18.0), 3),
    ],
)
def test_how_long_a_failover_may_take(times: tuple[float, float | None, float], slow: int) -> None:
    evidence = failover(switched_s=times[0], webhook_s=times[1], sent_s=times[2])
    line = Verdict(evidence).line()
    assert line["too_slow"] == slow
    assert line["failover_after_s"] == times[0]
    assert line["webhook_after_s"] == times[1]
    assert line["send_after_s"] == (times[2] if times[2] > times[0] else None)


def test_a_round_without_a_failover_says_nothing_of_one() -> None:
    assert "failover_after_s" not in Verdict(CLEAN).line()
