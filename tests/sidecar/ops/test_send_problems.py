"""What is wrong with what is sent is said once, in words that say what to do."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts.backend import CampaignCounts, CampaignState, DueCampaign
from sidecar.ops import send_problems
from sidecar.ops.backlog import CampaignWork
from sidecar.ops.problem import Code, Problem
from sidecar.ops.problems import problems
from sidecar.ops.processes import Process
from sidecar.ops.report import PhpReport, Report, read_report
from sidecar.ops.sends import RecentSends
from sidecar.php.client import make_backend
from sidecar.redis.client import Redis
from sidecar.sending.halts import Halt
from sidecar.sending.numbers import Held, NumberState, Outage
from sidecar.sending.pauses import Paused
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.sidecar.ops.sending import campaign, number_state

REASON = "answer 502 without an error code of the Cloud API's"


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(backend_url="http://127.0.0.1:9")


@pytest.fixture
async def quiet(redis: Redis, settings: Settings) -> Report:
    """A report in which nothing is sent."""
    backend = make_backend(settings)
    try:
        return replace(await read_report(redis, backend), php=PhpReport())
    finally:
        await backend.close()


def now(report: Report) -> float:
    return report.overview.now / 1000


def down(report: Report, number: str, reason: str = REASON, ago_s: float = 5) -> NumberState:
    return number_state(number, f"v{number}", outage=Outage(reason, now(report) - ago_s))


def of(found: Iterator[Problem], code: Code) -> list[Problem]:
    return [problem for problem in found if problem.code is code]


# -- the Cloud API --


async def test_an_outage(quiet: Report) -> None:
    report = replace(quiet, numbers=[down(quiet, "110"), number_state("111")])
    [problem] = send_problems.cloud_api(report)
    assert problem.code is Code.CLOUD_API_DOWN
    assert problem.what.startswith("The Cloud API does not work for number 110 of vendor v110, ")
    assert "(5.0 s): answer 502" in problem.what
    assert "goes on by itself" in problem.do


async def test_many_numbers_are_one_problem(quiet: Report) -> None:
    numbers = [down(quiet, str(number), ago_s=60 - number) for number in range(7)]
    report = replace(
        quiet, numbers=[*numbers, down(quiet, "9", "cannot connect"), down(quiet, "8", "no answer")]
    )
    [problem] = send_problems.cloud_api(report)
    assert "for 9 vendors, 9 numbers: 0 of vendor v0, " in problem.what
    assert " and 4 more, since " in problem.what
    assert f"(60 s): {REASON}; cannot connect (and 2 other reasons)" in problem.what


async def test_no_age_is_negative(quiet: Report) -> None:
    """Whatever a clock says."""
    report = replace(quiet, numbers=[down(quiet, "110", ago_s=-600)])
    [problem] = send_problems.cloud_api(report)
    assert "(0.0 s)" in problem.what


async def test_slow_answers(quiet: Report) -> None:
    def worker(id_: str, age_s: float = 0.0, **slow: float) -> Process:
        return Process(id_, "worker", "h", 1, 0, age_s, slow={k[1:]: s for k, s in slow.items()})

    processes = [worker("a", n110=3.0, n111=4.5), worker("b", n110=5.0), worker("c", 99, n9=9.0)]
    report = replace(quiet, overview=replace(quiet.overview, processes=processes))
    [problem] = send_problems.cloud_api(report)
    assert problem.code is Code.CLOUD_API_SLOW
    assert "5.0 s and more for 2 numbers: 110, 111" in problem.what
    report = replace(report, numbers=[down(report, "110"), down(report, "111")])
    assert [one.code for one in send_problems.cloud_api(report)] == [Code.CLOUD_API_DOWN]


# -- holds and waits --


async def test_what_is_held(quiet: Report) -> None:
    until = now(quiet) + 3600
    shared: dict[str, Any] = {
        "account_held": Held(until, "80007 too many calls"),
        "account": "v/300",
    }
    numbers = [
        number_state("110", **shared),
        number_state("111", **shared),
        number_state("112", held=Held(now(quiet) + 60, "131057 maintenance")),
        number_state("113", held=Held(now(quiet) + 2, "130429 throttled")),
        number_state("114", effective_rate=20.0),
        number_state("115", app_held=Held(until, "4 too many calls"), app="400"),
    ]
    found = list(send_problems.held_numbers(replace(quiet, numbers=numbers)))
    assert {problem.code for problem in found} == {Code.NUMBER_HELD}
    words = [problem.what.partition(" until ")[0] for problem in found]
    assert words == [
        "Nothing is sent from account 300 of vendor v",
        "Nothing is sent from number 112 of vendor v",
        "Nothing is sent from app 400",
    ]
    assert "for another 60 min: 80007 too many calls" in found[0].what
    assert [problem.do.rpartition(": ")[2] for problem in found] == [
        "sidecar numbers lift 300.",
        "sidecar numbers lift 112.",
        "sidecar numbers lift 400.",
    ]


async def test_campaigns_that_wait_and_why(quiet: Report, settings: Settings) -> None:
    campaigns = [
        campaign("c1", "132069 flow", 3000.0),
        campaign("c2", "for a moment", 2.0),
        campaign("c3", "131057 maintenance", 50.0),
        campaign("c4"),
    ]
    number = number_state("112", held=Held(now(quiet) + 60, "131057 maintenance"))
    report = replace(quiet, campaigns=campaigns, numbers=[number])
    found = problems(report, settings)
    [problem] = of(iter(found), Code.CAMPAIGN_WAITS)
    assert "Campaign c1 (vendor v) sends nothing for now, and looks again in 50 min" in problem.what
    assert problem.what.endswith(": 132069 flow")
    assert problem.do.endswith("sidecar campaigns resume c1.")
    assert len([one for one in found if "131057" in one.what]) == 1, "each reason is said once"


async def test_campaigns_that_nobody_sends(quiet: Report) -> None:
    worker = Process("p", "worker", "h", 7, 0, 0.0, in_vain={"c2": 11.0, "c1": 150.0})
    report = replace(quiet, overview=replace(quiet.overview, processes=[worker]))
    [problem] = send_problems.stuck_campaigns(report, [])
    assert problem.code is Code.CAMPAIGN_STUCK
    assert problem.what == (
        "Nobody sends campaign c1, c2, although workers have been woken for 2 min"
    )
    known = [Problem(Code.PHP_UNAVAILABLE, "PHP is away", "Look.")]
    assert list(send_problems.stuck_campaigns(report, known)) == [], "that says why"


async def test_messages_that_nobody_sends(quiet: Report) -> None:
    unasked = {"messages": 3, "oldest_at": 1_700_000_000_000}
    worker = Process("p", "worker", "h", 7, 0, 0.0, unasked=unasked)
    dead = replace(worker, heartbeat_age_s=3600.0)
    well = replace(worker, unasked={"messages": 0, "oldest_at": 0})
    report = replace(quiet, overview=replace(quiet.overview, processes=[worker, dead, well]))
    [problem] = send_problems.unasked_messages(report)
    assert (problem.code, problem.size) == (Code.MESSAGES_UNASKED, 3)
    assert problem.what == (
        "3 messages stand pending in PHP's log, the oldest since 2023-11-14 22:13:20Z, and nobody "
        "sends them"
    )
    assert "h:7" in problem.do


# -- how rows end --


def with_php(report: Report, **counts: int) -> Report:
    known = DueCampaign(campaign_uid="c", vendor_uid="v", counts=CampaignCounts(**counts))
    return replace(report, php=PhpReport(campaigns={"c": known}))


async def test_rows_that_fail(quiet: Report) -> None:
    reasons = {"failed": {"131026 Message undeliverable": 30, "131000 Something": 10, "x": 1}}
    sends = [RecentSends("v", "c", 59, 41, reasons=reasons), RecentSends("v", "d", 99, 1)]
    report = replace(quiet, sends=sends)
    [problem] = send_problems.bad_ends(report, "")
    assert problem.code is Code.ROWS_FAILING
    assert problem.what == (
        "41 of the 100 rows of campaign c (vendor v) that were tried within ten minutes have "
        "failed: 30 x 131026 Message undeliverable, 10 x 131000 Something"
    )
    assert "sidecar campaigns retry-failed c." in problem.do
    [problem] = send_problems.bad_ends(with_php(report, error=12), "")
    assert problem.what.startswith("12 of the 100 rows"), "some were sent again since"
    assert list(send_problems.bad_ends(with_php(report, error=0), "")) == []


async def test_a_reason_that_paused_the_campaign_is_said_once(
    quiet: Report, settings: Settings
) -> None:
    why = "132001 Template does not exist"
    halt = Halt(CampaignState.PAUSED, f"20 errors in a row, the last one: {why}")
    sends = [RecentSends("v", "c", 0, 20, reasons={"failed": {why: 20}})]
    report = replace(quiet, campaigns=[replace(campaign("c"), halt=halt)], sends=sends)
    found = problems(report, settings)
    assert len([one for one in found if why in one.what]) == 1
    [failing] = of(iter(found), Code.ROWS_FAILING)
    assert failing.what.endswith("have failed, and so it is paused")
    other = replace(report, campaigns=[replace(campaign("d"), halt=halt)])
    [failing] = of(iter(problems(other, settings)), Code.ROWS_FAILING)
    assert failing.what.endswith(f": 20 x {why}"), "another campaign is paused"


async def test_replies_that_fail(quiet: Report) -> None:
    report = replace(quiet, sends=[RecentSends("v", None, 0, 10)])
    [problem] = send_problems.bad_ends(report, "")
    assert problem.what.startswith("10 of the 10 replies of vendor v that")
    assert "retry-failed" not in problem.do


async def test_rows_of_unknown_outcome(quiet: Report) -> None:
    reasons = {"unknown": {REASON: 15}}
    report = replace(quiet, sends=[RecentSends("v", "c", 985, unknown=15, reasons=reasons)])
    [problem] = send_problems.bad_ends(report, "")
    assert problem.code is Code.ROWS_UNKNOWN
    assert problem.what.startswith("Nobody knows whether 15 of the 1,000 rows of campaign c")
    assert problem.what.endswith(f": 15 x {REASON}")
    assert "sidecar unknown list --campaign c, then resend or give-up." in problem.do
    assert list(send_problems.bad_ends(with_php(report, unknown=0), "")) == [], (
        "settled by statuses"
    )


# -- pauses --


async def test_what_a_person_has_paused_is_no_problem(quiet: Report) -> None:
    halt = Halt(CampaignState.PAUSED, "as the customer wants", by_person=True)
    report = replace(quiet, campaigns=[replace(campaign("c"), halt=halt)])
    assert list(send_problems.paused(report)) == []
    report = replace(quiet, campaigns=[replace(campaign("c"), halt=Halt(halt.state, "132015"))])
    assert [one.subject for one in send_problems.paused(report)] == ["c"]


async def test_a_pause_and_its_campaigns_are_said_once(quiet: Report) -> None:
    def halted(uid: str, reason: str) -> CampaignWork:
        return replace(campaign(uid), halt=Halt(CampaignState.PAUSED, reason), vendor_uid=None)

    reason = "190 Access token expired."
    token = Paused("token", "", "v", 190, reason, 5, False)
    campaigns = [halted("c1", reason), halted("c2", reason), halted("c3", "132015 Template paused")]
    known = {
        uid: DueCampaign(campaign_uid=uid, vendor_uid=vendor_uid)
        for uid, vendor_uid in (("c1", "v"), ("c2", "w"), ("c3", "v"))
    }
    report = replace(quiet, paused=[token], campaigns=campaigns, php=PhpReport(campaigns=known))
    first, second, third = send_problems.paused(report)
    assert first.code is Code.SENDING_PAUSED
    assert first.what == (
        "The access token of vendor v sends nothing: 190 Access token expired; paused with it: "
        "campaign c1"
    )
    assert first.do == (
        "Enter an access token in PHP that may send. Then: sidecar campaigns resume c1, or "
        "sidecar numbers resume v."
    )
    assert second.what == f"Campaign c2 is paused: {reason}", "another vendor's"
    assert third.do == "Once the reason is fixed: sidecar campaigns resume c3."
