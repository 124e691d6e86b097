"""PHP, Redis or the code fails while a campaign is sent: no row is lost, and none sent twice."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.php.client import Backend
from sidecar.redis.client import RedisUnavailable
from sidecar.redis.lease import Lease
from simulator.cloud_api.fault import FaultKind
from tests.eventually import eventually
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.payloads import status, webhook
from tests.workers.php import Answer
from tests.workers.rows import have_claimed, state_of
from tests.workers.stage import Stage
from workers.sending.claimer import Claimer
from workers.sending.ledger import Ledger
from workers.sending.limiter import Grant, Limiter
from workers.sending.pacer import Pacer
from workers.sending.send_queue import ClaimedSend
from workers.sending.sender import Sender

pytestmark = pytest.mark.usefixtures("short_pauses")


pytestmark = pytest.mark.usefixtures("short_pauses")


# -- PHP --


async def test_php_is_away_at_the_beginning(stage: Stage) -> None:
    """There is something to settle first, so nothing new is begun."""
    await have_claimed(stage.ledger, "old", [stage.campaign.row_uids[0]])
    gone = stage.php.always(contract.RELEASE_MESSAGES, Answer(503))
    with pytest.raises(Exception, match="503"):
        await stage.run()
    assert not stage.accepts()
    stage.php.forget(gone)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_does_not_answer_claims_for_a_while(stage: Stage) -> None:
    left = [Answer(500), Answer(200, b"<html>"), Answer(503)]
    stage.php.when(contract.CLAIM_MESSAGES, lambda _call: left.pop() if left else None)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_answers_of_claims_are_lost(make_stage: MakeStage) -> None:
    stage = await make_stage(40, rate=300, claim_s=0.05)
    stage.php.do_and_drop(contract.CLAIM_MESSAGES, times=2)
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_takes_no_results_for_a_while(stage: Stage) -> None:
    illness = stage.php.always(contract.UPDATE_MESSAGE_STATUSES, Answer(503))
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) == 12)
    assert stage.statuses() == {3: 12}
    stage.php.forget(illness)
    await run
    assert stage.all_accepted()


async def test_php_takes_no_results_at_all(make_stage: MakeStage) -> None:
    """The ledger keeps them; the next run reports them, and sends nothing again."""
    stage = await make_stage(backend_timeout_s=0.3)
    illness = stage.php.always(contract.UPDATE_MESSAGE_STATUSES, Answer(503))
    await stage.run()
    assert stage.statuses() == {3: 12}
    assert len((await state_of(stage.ledger)).known) == 12
    assert await stage.listed()
    stage.php.forget(illness)
    await stage.run()
    assert stage.all_accepted()
    assert not await stage.listed()


async def test_php_is_away_when_rows_are_to_be_given_back(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were certainly not sent, and are so found by the next run; also those that were being
    written down just then."""
    stage = await make_stage(60, rate=60)
    begin = Ledger.begin

    async def slowly(
        self: Ledger, lease: Lease, sends: list[tuple[ClaimedSend, str]], *rest: Any, **named: Any
    ) -> list[ClaimedSend]:
        refused = await begin(self, lease, sends, *rest, **named)
        if stage.stopping:
            await asyncio.sleep(0.05)
        return refused

    monkeypatch.setattr(Ledger, "begin", slowly)
    run = asyncio.create_task(stage.run())
    await eventually(lambda: len(stage.accepts()) > 3)
    gone = stage.php.always(contract.RELEASE_MESSAGES, Answer(503))
    stage.stopping = True
    await run
    assert stage.statuses()[3] > 0
    state = await state_of(stage.ledger)
    assert not state.sending
    assert len(state.claimed) == stage.statuses()[3]
    stage.php.forget(gone)
    stage.stopping = False
    stage.rate = 1000
    await stage.run_to_the_end()
    assert stage.all_accepted()


async def test_php_is_told_why_it_was_paused_also_when_it_was_away(
    make_stage: MakeStage,
) -> None:
    """Otherwise PHP would show it as running, and nobody would send it."""
    stage = await make_stage()
    stage.fault(FaultKind.ERROR, code=131042)

    def away(call: Any) -> Answer | None:
        return Answer(503) if call.json.get("campaign_state") else None

    gone = stage.php.when(contract.RELEASE_MESSAGES, away)
    await stage.run()
    assert "state" not in stage.campaign_data()
    assert await stage.listed(), "so that somebody comes back to it"
    stage.php.forget(gone)
    await stage.run()
    assert stage.campaign_data()["state"] == "paused"
    assert "131042" in stage.campaign_data()["reason"]
    assert not await stage.listed()
    assert stage.statuses() == {1: 12}


async def test_php_gives_no_rows_though_some_are_due(stage: Stage) -> None:
    """It is not asked as fast as it answers."""
    stage.php.always(contract.CLAIM_MESSAGES, Answer(200, b'{"rows": [], "due": 5}'))
    run = asyncio.create_task(stage.run())
    await asyncio.sleep(0.1)
    stage.stopping = True
    await run
    assert len(stage.php.to(contract.CLAIM_MESSAGES)) < 20


async def test_rows_that_cannot_be_sent_for_long_go_back(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP would call them unknown if they stood in status 3 for minutes; and then nobody would
    send them if this process ended."""
    stage = await make_stage()
    api = stage.cloud_api
    url, api._root = api._root, "http://127.0.0.1:9/v26.0"
    with monkeypatch.context() as short:
        short.setattr("workers.sending.campaign.MAX_RUN_S", 0.1)
        short.setattr("workers.sending.campaign.GRACE_S", 0.1)
        assert await stage.run() is True, "somebody is to be woken for them"
    assert stage.statuses() == {1: 12}
    assert await stage.listed()
    assert await stage.ledger.empty()
    api._root = url
    await stage.run_to_the_end()
    assert stage.all_accepted()


# -- Redis, and bugs --


async def test_redis_is_away_for_a_while(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = Limiter.grant
    left = [RedisUnavailable[0]("gone")] * 2

    async def fail(self: Limiter, *args: Any, **more: Any) -> Grant:
        if left:
            raise left.pop()
        return await grant(self, *args, **more)

    monkeypatch.setattr(Limiter, "grant", fail)
    await stage.run()
    assert stage.all_accepted()


async def test_redis_is_away_when_a_row_was_refused(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends, and the row is not lost; that it was not sent, PHP is told at once."""
    stage = await make_stage()
    stage.fault(FaultKind.THROTTLE, times=1)
    not_sent = Ledger.not_sent
    left = [RedisUnavailable[0]("gone")]

    async def fail(self: Ledger, rows: list[ClaimedSend]) -> None:
        if left:
            raise left.pop()
        await not_sent(self, rows)

    monkeypatch.setattr(Ledger, "not_sent", fail)
    await stage.run()
    assert stage.statuses()[3] == stage.statuses()[6] == 0
    await stage.run_to_the_end()
    assert stage.all_accepted()


@pytest.mark.parametrize("owner", [Claimer, Pacer, Sender])
async def test_a_bug_ends_the_run_and_the_next_one_finds_everything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: type
) -> None:
    name = {Claimer: "claim", Pacer: "plan", Sender: "send"}[owner]
    right = getattr(owner, name)
    hit: list[str] = []  # on a busy machine several sends begin together

    async def wrong(*args: Any, **more: Any) -> Any:
        hit.append(name)
        monkeypatch.setattr(owner, name, right)
        raise ValueError("a bug")

    monkeypatch.setattr(owner, name, wrong)
    with capture_logs() as logs:
        assert await stage.run() is False
    assert any(log["log_level"] == "error" for log in logs)
    assert await stage.listed()
    await stage.run_to_the_end()
    stage.assert_settled()
    assert stage.statuses()[6] == (len(hit) if owner is Sender else 0)
    assert not stage.statuses()[3]


# -- what nobody knows is settled by its status --


@pytest.mark.parametrize("name", ["delivered", "failed"])
async def test_a_status_settles_a_send_of_unknown_outcome(
    make_stage: MakeStage, make_lane: MakeLane, real_backend: Backend, name: str
) -> None:
    stage = await make_stage(6, send_timeout_s=1)
    stage.fault(FaultKind.TIMEOUT_AFTER_ACCEPT, times=2)
    await stage.run()
    assert stage.statuses() == {4: 4, 6: 2}
    unknown = {row["_uid"] for row in stage.queue() if row["status"] == 6}
    lane = make_lane(Lane.STATUSES, real_backend)
    for message in stage.cloud.engine.ledger.messages:
        if message.callback_data in unknown:
            body = webhook(statuses=[status(message.wamid, name, message.callback_data)])
            await lane.receive(body, vendor=stage.vendor.uid)
    await lane.drain()
    assert stage.statuses() == {4: 4}
    assert sorted(stage.logged()) == sorted(stage.campaign.row_uids)
    logs = stage.embedded.rows("whatsapp_message_logs", campaigns__id=stage.campaign.id)
    assert [row["status"] for row in logs].count(name) == 2
