"""Whatever webhooks come and whatever PHP answers: no worker dies of it, nothing is lost, and the
accounting balances."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.ops.dead_letters import DeadLetters
from tests.examples import examples
from tests.workers.conftest import MakeLane
from tests.workers.inbox.test_split_anything import JSON, WEBHOOKS
from tests.workers.payloads import VENDOR, some_texts, status, webhook
from tests.workers.php import Answer, Call, Php
from workers.inbox import drain as drain_module

BATCH = contract.PROCESS_WEBHOOKS

unhurried = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

BODIES = st.lists(WEBHOOKS.map(orjson.dumps) | st.binary(max_size=100), min_size=1, max_size=6)

#: What stands in an answer in place of an update's id is the place of the update.
RESULTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.integers(0, 3) | JSON,
            "result": st.sampled_from(["done", "ignored", "retry"]) | JSON,
            "reason": st.text(max_size=5) | JSON,
            "retry_after_ms": st.integers(-5, 10**9) | JSON,
        },
    ),
    max_size=5,
)
ANSWERS = st.tuples(
    st.sampled_from([200, 200, 200, 200, 204, 301, 400, 401, 404, 413, 429, 500, 503, 504]),
    st.one_of(
        RESULTS.map(lambda results: {"results": results}),
        st.fixed_dictionaries({"result": JSON | st.just("done")}),
        st.fixed_dictionaries({"error": JSON}),
        JSON,
    ),
)


def rule_of(answers: list[tuple[int, Any]]) -> Any:
    """Make a PHP that answers so, one after the other, and with the last from then on."""
    left = list(answers)

    def rule(call: Call) -> Answer:
        code, given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, dict) and call.path == BATCH:
            ids = [update["id"] for update in call.json["updates"]]
            given = {**given, "results": _with_ids(given.get("results") or [], ids)}
        return Answer(code, b"" if code == 204 else orjson.dumps(given))

    return rule


def _with_ids(results: list[dict[str, Any]], ids: list[str]) -> list[dict[str, Any]]:
    return [
        {**result, "id": ids[result["id"] % len(ids)]}
        if isinstance(result.get("id"), int)
        else result
        for result in results
    ]


@pytest.fixture(autouse=True)
def short_quantum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain does not wait for long for a PHP that is ill."""
    monkeypatch.setattr(drain_module, "MAX_RUN_S", 0.1)


@unhurried
@given(BODIES, st.sampled_from(Lane))
async def test_whatever_comes(
    php: Php, make_lane: MakeLane, bodies: list[bytes], lane_name: Lane
) -> None:
    lane = make_lane(lane_name)
    await lane.redis.flushall()
    await lane.receive(*bodies)
    await lane.drain()
    await lane.assert_balanced()
    assert await lane.waiting() == 0
    assert (await lane.counters())["webhooks_done"] == len(bodies)
    assert await lane.deferred() == {}


@unhurried
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.sampled_from(Lane))
async def test_whatever_php_answers(
    php: Php, make_lane: MakeLane, answers: list[tuple[int, Any]], lane_name: Lane
) -> None:
    lane = make_lane(lane_name, update_max_attempts=3)
    await lane.redis.flushall()
    php.rules.append(rule_of(answers))
    two = webhook(statuses=[status("wamid.1"), status("wamid.2", "read")])
    await lane.receive(*some_texts(2), two, b"not json")
    for _ in range(3):
        await lane.drain()
        await lane.make_due()
        lane.delivery.breaker.worked()
        lane.delivery.isolated.worked(VENDOR)
    php.rules.clear()
    await lane.assert_balanced()
    await lane.drain_when_it_may()
    await lane.assert_balanced()
    counts = await lane.counters()
    assert sum(counts.get(name, 0) for name in ("done", "ignored", "dead")) == 5
    assert await DeadLetters(lane.redis).count() == counts.get("dead", 0)
