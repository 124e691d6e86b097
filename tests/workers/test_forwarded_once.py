"""Whatever Meta repeats, PHP refuses or loses and workers die of: a vendor's own webhook is told
each status once."""

import random
from collections import Counter

import pytest

from contracts import backend as contract
from contracts.effects import EffectKind
from contracts.jobs import Lane
from sidecar.clock import now_ms
from sidecar.effects.effect_states import EffectState
from sidecar.effects.outbox import Ended, Outbox, effects_lease, make_outbox
from sidecar.redis.lease import LeaseLost, Leases
from simulator.vendor_webhook.facts import facts_of
from tests.workers.conftest import MakeLane
from tests.workers.payloads import VENDOR, status, webhook
from tests.workers.php import DROP, Answer, Call, Php, answer
from workers.inbox.commit import Commit

KIND = EffectKind.FORWARD


def posts(luck: random.Random) -> list[bytes]:
    """Return what Meta sends of six messages, one of them in a group: often twice, in any order."""
    told = [status(f"w{n}", name) for n in range(5) for name in ("sent", "delivered", "read")]
    told += [status("g", "read", recipient_participant_id=str(n)) for n in range(4)]
    luck.shuffle(told)
    once = []
    while told:
        size = luck.randint(1, 4)
        once.append(webhook(statuses=told[:size], contacts=[{"wa_id": "99911"}]))
        told = told[size:]
    repeated = [body for body in once for _ in range(luck.randint(1, 3))]
    luck.shuffle(repeated)
    return repeated


async def told_by(outbox: Outbox, leases: Leases) -> list[str]:
    """Do what waits in the outbox, and return the facts."""
    queued = await outbox.due(KIND, VENDOR, now_ms() + 1, 1000)
    async with leases.hold(effects_lease(KIND, VENDOR)) as lease:
        assert lease is not None
        done = [Ended(one.id, EffectState.DONE) for one in queued]
        if done:
            await outbox.end(lease, KIND, VENDOR, done)
    bodies = [str(one.effect.model_dump()["raw"]).encode() for one in queued]
    return [fact for body in bodies for fact in facts_of(body)]


@pytest.mark.parametrize("seed", range(12))
async def test_each_status_is_told_once(
    make_lane: MakeLane,
    php: Php,
    leases: Leases,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    luck = random.Random(seed)
    written = Commit.commit

    def decide(call: Call) -> Answer:
        if luck.random() < 0.15:
            return DROP
        results = []
        for update in call.json["updates"]:
            element = update["payload"]["entry"][0]["changes"][0]["value"]["statuses"][0]
            name = "/".join(str(element[one]) for one in sorted(element))
            word = luck.choice(("done", "done", "ignored", "retry"))
            effects = [] if word == "retry" else [{"kind": "forward", "id": name}]
            results.append({"id": update["id"], "result": word, "reason": "x", "effects": effects})
        return answer({"results": results})

    async def may_die(commit: Commit) -> None:
        if luck.random() < 0.2:
            raise LeaseLost("killed")
        await written(commit)

    php.when(contract.PROCESS_WEBHOOKS, decide)
    monkeypatch.setattr(Commit, "commit", may_die)
    lane = make_lane(Lane.STATUSES, update_max_attempts=100)
    outbox = make_outbox(lane.settings, lane.redis)
    told: list[str] = []
    sent = posts(luck)
    for body in sent:
        await lane.receive(body)
        if luck.random() < 0.5:
            await lane.make_due()
            await lane.drain()
        if luck.random() < 0.4:
            told += await told_by(outbox, leases)
    await lane.drain_when_it_may()
    told += await told_by(outbox, leases)
    assert Counter(told) == dict.fromkeys((fact for body in sent for fact in facts_of(body)), 1)
