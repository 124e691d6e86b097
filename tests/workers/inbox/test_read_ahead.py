"""The next batch is read while PHP works on the last one, and used only if it follows on it."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import backend as contract
from contracts.jobs import Lane
from sidecar.redis import keys
from tests.eventually import eventually
from tests.examples import examples
from tests.workers.conftest import MakeLane
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import message, texts, webhook
from tests.workers.php import Answer, Call, Php, results
from workers.inbox import read_ahead as read_ahead_module
from workers.inbox import reader as reader_module
from workers.inbox.read_ahead import ReadAhead
from workers.inbox.reader import FairReader, LanePolicy, Taken

BATCH = contract.PROCESS_WEBHOOKS
SMALL = {"message_batch_size": 4, "message_concurrency": 1}


@pytest.fixture
def small(make_lane: MakeLane) -> LaneUnderTest:
    """A lane with small batches, so that a few webhooks are a backlog."""
    return make_lane(Lane.MESSAGES, **SMALL)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The updates that were read ahead, each time."""
    found: list[list[str]] = []
    take_after = FairReader.take_after

    async def watched(self: FairReader, *args: object, **more: object) -> list[Taken]:
        taken = await take_after(self, *args, **more)  # type: ignore[arg-type]
        found.append([str(update.wamid) for one in taken for update in one.updates])
        return taken

    monkeypatch.setattr(FairReader, "take_after", watched)
    return found


async def test_it_is_read_while_php_works(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    async def slow(call: Call) -> Answer:
        if len(php.calls) == 1:
            await eventually(lambda: reads)
        return results(call)

    php.when(BATCH, slow)
    await small.receive(*texts(*"abcdefghij"))
    assert await small.drain() is False
    assert php.wamids == list("abcdefghij")
    assert [len(batch) for batch in php.batches] == [4, 4, 2]
    assert reads[0] == list("efgh")


async def test_what_is_left_is_too_little(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    await small.receive(*texts(*"abcde"))
    await small.drain()
    assert reads == [[]], "one is left, which waits for others"
    assert php.wamids == list("abcde")


async def test_a_small_batch_has_nothing_behind_it(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    await small.receive(*texts("a"))
    await small.drain()
    assert reads == []


async def test_large_bodies_are_not_read_ahead(
    php: Php, small: LaneUnderTest, reads: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead_module, "MAX_BYTES", 10)
    await small.receive(*texts(*"abcdefghij"))
    await small.drain()
    assert reads == []
    assert php.wamids == list("abcdefghij")


async def test_a_webhook_that_fills_several_batches(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    names = [f"wamid.{n}" for n in range(11)]
    await small.receive(
        webhook(messages=[message(wamid=name) for name in names[:6]]),
        *texts("between"),
        webhook(messages=[message(wamid=name) for name in names[6:]]),
    )
    await small.drain()
    assert php.wamids == [*names[:6], "between", *names[6:]]
    counts = await small.counters()
    assert (counts["updates"], counts["webhooks_done"]) == (12, 3)


async def test_what_php_was_not_asked_about_comes_first(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    """PHP goes away, and its answer to the first batch with it."""
    php.once(BATCH, Answer(503, b""))
    await small.receive(*texts(*"abcdefghij"))
    await small.drain_when_it_may()
    wamids = php.wamids
    assert wamids[-10:] == list("abcdefghij") or sorted(set(wamids)) == list("abcdefghij")
    assert (await small.counters())["done"] == 10


async def test_a_vendor_that_is_isolated_meanwhile_is_passed_over(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    async def isolating(call: Call) -> Answer:
        if len(php.calls) == 1:
            await eventually(lambda: reads)
            small.delivery.isolated.fails("bad", "PHP failed")
        return results(call)

    php.when(BATCH, isolating)
    for vendor in ("bad", "good"):
        await small.receive(*texts(*(f"{vendor}-{n}" for n in range(6))), vendor=vendor)
    await small.drain()
    for vendor in ("bad", "good"):
        mine = [wamid for wamid in php.wamids if wamid.startswith(vendor)]
        assert mine == [f"{vendor}-{n}" for n in range(6)]
    for batch in php.batches[1:]:
        assert len({update["vendor_uid"] for update in batch}) == 1, "it has requests of its own"


async def test_what_was_read_ahead_of_a_vendor_is_left_if_it_may_not_be_read_now(
    small: LaneUnderTest,
) -> None:
    for vendor in ("a", "b"):
        await small.receive(*texts(*"123456"), vendor=vendor)
    policy = LanePolicy.of(small.lane, small.settings)
    ahead = ReadAhead(FairReader(small.redis, policy), policy.most // 2)
    await ahead.next(frozenset())
    ahead.start(frozenset())
    await ahead.committed()
    assert ahead.vendors == 2
    look = await ahead.next({"a"})
    assert [one.vendor_uid for one in look.taken] == ["b"]
    assert look.passed_over == ["a"]
    again = await ahead.next(frozenset())
    assert sorted(one.vendor_uid for one in again.taken) == ["a", "b"]


async def test_who_comes_meanwhile_need_not_wait_for_another_batch(
    php: Php, small: LaneUnderTest, reads: list[list[str]]
) -> None:
    async def meanwhile(call: Call) -> Answer:
        if len(php.calls) == 1:
            await eventually(lambda: reads)
            await small.receive(*texts("quiet"), vendor="quiet")
        return results(call)

    php.when(BATCH, meanwhile)
    await small.receive(*texts(*(f"flood-{number}" for number in range(30))), vendor="flood")
    await small.drain()
    assert "quiet" in php.wamids[:9], "it is in the second batch"
    assert len(php.wamids) == 31


async def test_what_is_read_and_not_used_was_nobodys_turn(
    small: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "VENDORS_AT_A_TIME", 1)
    for vendor in ("a", "b"):
        await small.receive(*texts(*"123456789"), vendor=vendor)
    policy = LanePolicy(small.lane, 0, 1, 1)
    ahead = ReadAhead(FairReader(small.redis, policy), 1)
    turns = []
    for _ in range(4):
        look = await ahead.next(frozenset())
        turns += [one.vendor_uid for one in look.taken]
        ahead.start(frozenset())
        await asyncio.sleep(0.02)
        await ahead.forget()
    assert sorted(turns[:2]) == sorted(turns[2:]) == ["a", "b"]


async def test_a_drain_that_ends_leaves_what_it_read(php: Php, small: LaneUnderTest) -> None:
    async def stop(call: Call) -> Answer:
        small.stopping = True
        return results(call)

    php.when(BATCH, stop)
    await small.receive(*texts(*"abcdefghij"))
    await small.drain()
    assert php.wamids == list("abcd")
    assert await small.waiting() == 6
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "read ahead"]


@settings(
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    webhooks=st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from("12"), st.integers(1, 6)),
        min_size=4,
        max_size=12,
    ),
    # After three refusals those behind it go ahead.
    answers=st.lists(st.sampled_from(["done", "retry", 500, 503]), max_size=6).filter(
        lambda answers: answers.count("retry") < 3
    ),
)
async def test_whatever_php_answers_the_order_of_a_contact_stays(
    php: Php,
    make_lane: MakeLane,
    webhooks: list[tuple[str, str, int]],
    answers: list[str | int],
) -> None:
    lane = make_lane(Lane.MESSAGES, **SMALL, update_retry_first_ms=10, update_max_attempts=100)
    await lane.redis.flushall()
    lane.delivery.breaker.worked()
    php.rules.clear()
    php.calls.clear()
    left = list(answers)
    taken: list[str] = []

    def rule(call: Call) -> Answer:
        given = left.pop(0) if left else "done"
        if isinstance(given, int):
            return Answer(given, b"{}")
        if given == "done":
            updates = call.json["updates"]
            taken.extend(
                one["payload"]["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
                for one in updates
            )
        return results(call, given, reason="busy" if given == "retry" else None)

    php.when(BATCH, rule)
    sent: dict[tuple[str, str], list[str]] = {}
    for number, (vendor, contact, count) in enumerate(webhooks):
        names = [f"{vendor}.{contact}.{number}.{n}" for n in range(count)]
        sent.setdefault((vendor, contact), []).extend(names)
        body = webhook(messages=[message(contact, name) for name in names])
        await lane.receive(body, vendor=vendor)
    await lane.drain_when_it_may()
    for (vendor, contact), names in sent.items():
        mine = [name for name in taken if name.startswith(f"{vendor}.{contact}.")]
        assert mine == names
    assert not await lane.redis.exists(keys.ready(Lane.MESSAGES))
