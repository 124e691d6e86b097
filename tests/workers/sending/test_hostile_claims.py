"""PHP gives out a row that somebody has in hand: it is sent once, whatever PHP says."""

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.effects import EffectKind
from sidecar.metrics import METRICS, ROWS_REFUSED
from sidecar.php.client import Backend
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease
from tests.workers.conftest import MakeStage
from tests.workers.php import Answer, Call, Php, answer
from tests.workers.replying import Replies
from tests.workers.rows import CAMPAIGN, NUMBER, claimed_row, have_claimed, queued, result, state_of
from workers.sending.claimer import Claimer
from workers.sending.ledger import Ledger

pytestmark = pytest.mark.usefixtures("short_pauses")

CLAIM = contract.CLAIM_MESSAGES
VENDOR = "vendor-1"


def refused(reason: str) -> float:
    return METRICS.counter(ROWS_REFUSED, reason).value


def changing(php: Php, change: Any) -> None:
    """Have PHP claim, and its answer's rows changed."""

    async def rule(call: Call) -> Answer:
        given = await php._forward(call)
        value = orjson.loads(given.content)
        value["rows"] = change(value["rows"])
        return answer(value)

    php.when(CLAIM, rule)


# -- a whole campaign --


async def test_an_answer_that_names_every_row_twice(make_stage: MakeStage) -> None:
    stage = await make_stage(40, rate=400, claim_s=0.05)
    before = refused("twice_in_answer")
    changing(stage.php, lambda rows: [row for row in rows for _ in range(2)])
    with capture_logs() as logs:
        await stage.run_to_the_end()
    assert set(stage.accepts().values()) == {1}
    assert stage.all_accepted()
    assert refused("twice_in_answer") - before == 40
    said = [log for log in logs if log["event"] == "claimed_rows.refused"]
    assert said
    assert said[0]["reason"] == "twice_in_answer"


async def test_every_answer_brings_what_earlier_ones_have_brought(make_stage: MakeStage) -> None:
    """They wait here, are being sent, or are known."""
    stage = await make_stage(40, rate=100, claim_s=0.1)
    given: list[Any] = []

    def change(rows: list[Any]) -> list[Any]:
        again = [*given, *rows]
        given.extend(rows)
        return again

    changing(stage.php, change)
    await stage.run_to_the_end()
    assert set(stage.accepts().values()) == {1}
    assert sorted(stage.accepts()) == sorted(stage.campaign.row_uids)
    assert stage.all_accepted()


async def test_a_row_of_another_campaign_that_is_in_hand_there(
    make_stage: MakeStage, redis: Redis
) -> None:
    stage = await make_stage(6, rate=300)
    theirs = Ledger(redis, "another", stage.vendor.uid)
    await have_claimed(theirs, "their-claim", ["their-row"])
    before = refused("in_another_ledger")
    extra = claimed_row("their-row").model_dump(mode="json")
    changing(stage.php, lambda rows: [*rows, extra])
    await stage.run_to_the_end()
    assert sorted(stage.accepts()) == sorted(stage.campaign.row_uids)
    assert refused("in_another_ledger") > before
    assert (await state_of(theirs)).claimed == {"their-row": "their-claim"}
    await theirs.released("their-claim", ["their-row"])


# -- one claim after the other --


@pytest.fixture
def claimer(backend: Backend, ledger: Ledger, campaign_lease_held: Lease) -> Claimer:
    return Claimer(backend, ledger, campaign_lease_held, vendor_uid=VENDOR, campaign_uid=CAMPAIGN)


def giving(php: Php, uids: Iterable[str]) -> None:
    rows = [claimed_row(uid).model_dump(mode="json") for uid in uids]
    php.always(CLAIM, answer({"rows": rows, "due": 1}))


async def uids(claimer: Claimer) -> list[str]:
    return [row.uid for row in await claimer.claim(10, now=5)]


async def test_the_first_of_two_is_taken(php: Php, claimer: Claimer) -> None:
    rows = [claimed_row("a", to="111"), claimed_row("a", to="222"), claimed_row("b")]
    php.always(CLAIM, answer({"rows": [row.model_dump(mode="json") for row in rows]}))
    found = await claimer.claim(10, now=5)
    assert (found[0].uid, found[0].row.to) == ("a", "111")
    assert [row.uid for row in found] == ["a", "b"]


async def test_a_row_that_waits_here_is_not_given_out_again(php: Php, claimer: Claimer) -> None:
    giving(php, ["a"])
    assert await uids(claimer) == ["a"]
    giving(php, ["a", "b"])
    assert await uids(claimer) == ["b"]


async def test_a_row_that_is_being_sent_is_not_given_out_again(
    php: Php, claimer: Claimer, ledger: Ledger, campaign_lease_held: Lease
) -> None:
    giving(php, ["a"])
    [row] = await claimer.claim(10, now=5)
    await ledger.begin(campaign_lease_held, [(row, NUMBER)])
    assert await uids(claimer) == []
    assert (await state_of(ledger)).sending == {"a": (row.claim_uid, NUMBER)}


@pytest.mark.parametrize("claim", ["of this run", "of an earlier holder"])
@pytest.mark.parametrize(
    ("outcome", "again"),
    [("accepted", False), ("unknown", False), ("failed", True), ("requeue", True)],
)
async def test_a_row_that_may_have_been_sent_is_not_given_out_again(
    php: Php, claimer: Claimer, ledger: Ledger, outcome: str, again: bool, claim: str
) -> None:
    """One that certainly was not is PHP's to give out: its answer to the result may be lost."""
    claim_uid = "old"
    giving(php, ["a"])
    if claim == "of this run":
        [row] = await claimer.claim(10, now=5)
        claim_uid = row.claim_uid
    else:
        await have_claimed(ledger, "old", ["a"])
    known = result("a", contract.SendOutcome(outcome), claim_uid=claim_uid)
    await ledger.known([known])
    assert await uids(claimer) == (["a"] if again else [])
    assert (await state_of(ledger)).known == ([] if again else [known])


async def test_what_a_stalled_holder_wrote_late_keeps_no_row_back(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    """Its rows were given back; nobody has them in hand."""
    await have_claimed(ledger, "late", ["a"])
    giving(php, ["a"])
    assert await uids(claimer) == ["a"]


async def test_a_row_that_has_ended_may_be_given_out_again(
    php: Php, claimer: Claimer, ledger: Ledger
) -> None:
    giving(php, ["a"])
    [row] = await claimer.claim(10, now=5)
    requeued = result("a", contract.SendOutcome.REQUEUE, claim_uid=row.claim_uid)
    await ledger.known([requeued])
    await ledger.settled([requeued])
    assert await uids(claimer) == ["a"]


@pytest.mark.parametrize("vendor_uid", [VENDOR, "vendor-2"])
async def test_a_row_stands_in_one_ledger(
    php: Php, claimer: Claimer, redis: Redis, ledger: Ledger, vendor_uid: str
) -> None:
    theirs = Ledger(redis, "another", vendor_uid)
    await have_claimed(theirs, "their-claim", ["a"])
    giving(php, ["a", "b"])
    assert await uids(claimer) == ["b"]
    await theirs.released("their-claim", ["a"])
    giving(php, ["a"])
    assert await uids(claimer) == ["a"]
    assert await redis.hgetall(keys.ROWS) == {b"a": CAMPAIGN.encode(), b"b": CAMPAIGN.encode()}


async def test_what_is_said_of_a_ledger_that_is_gone_keeps_no_row_back(
    php: Php, claimer: Claimer, redis: Redis
) -> None:
    await redis.hset(keys.ROWS, "a", "gone")
    giving(php, ["a"])
    assert await uids(claimer) == ["a"]


# -- replies --


async def test_a_reply_with_the_uid_of_a_row_in_hand(make_stage: MakeStage, redis: Redis) -> None:
    """Nobody could tell whose status is whose."""
    stage = await make_stage(1)
    replies = Replies(stage)
    mine, colliding = await replies.ask(2)
    campaign = Ledger(redis, "another", stage.vendor.uid)
    await have_claimed(campaign, "their-claim", [colliding])
    await replies.run()
    assert replies.sent == {mine: 1}
    assert [call.json for call in stage.php.calls if colliding in call.body.decode()]
    assert not await replies.outbox.due(EffectKind.SEND_MESSAGE, stage.vendor.uid, 2**50, 10)
    assert (await state_of(campaign)).claimed == {colliding: "their-claim"}
    await campaign.released("their-claim", [colliding])


async def test_a_row_that_is_in_another_ledger_by_now_does_not_begin(
    redis: Redis, ledger: Ledger, campaign_lease_held: Lease
) -> None:
    theirs = Ledger(redis, "another", VENDOR)
    await have_claimed(theirs, "their-claim", ["a"])
    sends = [(queued("a"), NUMBER), (queued("b"), NUMBER)]
    assert [row.uid for row in await ledger.begin(campaign_lease_held, sends)] == ["a"]
    assert set((await state_of(ledger)).sending) == {"b"}


async def test_a_row_begins_under_the_claim_that_the_ledger_names(
    ledger: Ledger, campaign_lease_held: Lease
) -> None:
    await have_claimed(ledger, "new", ["a"])
    assert len(await ledger.begin(campaign_lease_held, [(queued("a", "old"), NUMBER)])) == 1
    assert (await state_of(ledger)).claimed == {"a": "new"}
