"""What is on its way out: rows in a ledger, effects in an outbox, and suppressed people."""

import orjson
import pytest

from contracts.backend import SendResult
from contracts.effects import EffectKind, Forward
from sidecar.effects.outbox import Outbox
from sidecar.ops.event import Part, Step
from sidecar.ops.found_in_sends import SendSearch
from sidecar.ops.wanted import Wanted
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.row_states import RowState, dump
from workers.sending.ledger import ENDS


async def search(redis: Redis, **wanted: tuple[str, ...]) -> Part:
    part = Part()
    await SendSearch(redis, Wanted(**wanted), part).run()  # type: ignore[arg-type]
    return part


async def test_nothing(redis: Redis) -> None:
    everything = {"rows": ("r",), "effects": ("e",), "recipients": ("999",), "vendors": ("v",)}
    assert await search(redis, **everything) == Part()
    assert await search(redis) == Part()
    assert await search(redis, effects=("e",)) == Part()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RowState.CLAIMED, "claimed, and certainly not sent yet"),
        (RowState.SENDING, "being sent right now, from number more"),
        (RowState.KNOWN, "sent or refused; PHP is about to be told"),
    ],
)
async def test_a_row_in_the_ledger(redis: Redis, state: RowState, words: str) -> None:
    await redis.hset(keys.ROWS, "row", "c-1")
    await redis.hset(keys.ledger("c-1"), "row", dump(state, "claim", "more"))
    part = await search(redis, rows=("row", "other"))
    assert part.where == [f"message row: {words}"]
    await redis.set(keys.blocked("c-1"), "held until later")
    part = await search(redis, rows=("row",))
    assert part.where[1:] == ["what it belongs to waits: held until later"]


@pytest.mark.parametrize(
    ("outcome", "more", "step", "text"),
    [
        ("accepted", {"wamid": "w.1"}, Step.ACCEPTED, "the Cloud API accepted it as w.1"),
        (
            "failed",
            {"error": {"code": None, "message": "to +49 151 23456789: no"}},
            Step.FAILED,
            "the send failed: to +[number]: no",
        ),
        ("unknown", {}, Step.UNKNOWN, "the outcome of the send is unknown: it may have been sent"),
    ],
)
async def test_an_outcome_that_php_does_not_have(
    redis: Redis, outcome: str, more: dict[str, object], step: Step, text: str
) -> None:
    result = SendResult.model_validate(
        {"uid": "row", "vendor_uid": "v", "outcome": outcome, "at": 5, "phone_number_id": "1"}
        | {"campaign_uid": "c-1", **more}
    )
    kept = result.model_dump_json(exclude_defaults=True)
    await redis.hset(keys.ROWS, "row", "c-1")
    state = dump(RowState.KNOWN, "claim", ENDS[result.outcome], kept)
    await redis.hset(keys.ledger("c-1"), "row", state)
    [event] = (await search(redis, rows=("row",))).events
    assert (event.at_ms, event.kind, event.text, event.vendor_uid) == (5, step, text, "v")
    assert event.of == more.get("wamid", "row")


async def test_an_effect_that_waits(redis: Redis) -> None:
    outbox = Outbox(redis, remember_s=60, limit=10)
    forward = Forward(kind=EffectKind.FORWARD, id="e-1", raw="{}")
    await outbox.put("v", [forward])
    part = await search(redis, effects=("e-0", "e-1"), vendors=("v",))
    [event] = part.events
    assert (event.kind, event.text) == (Step.EFFECT, "PHP asked for the effect forward")
    assert part.where[0].startswith("the effect forward (e-1) waits, due at ")
    name = keys.effects(EffectKind.FORWARD, "v")
    kept = orjson.loads(await redis.hget(name, "e-1") or b"")
    for reason, words in (("HTTP 500", ", after 3 tries: HTTP 500"), (None, ", after 3 tries")):
        await redis.hset(name, "e-1", orjson.dumps({**kept, "attempts": 3, "reason": reason}))
        await redis.zrem(keys.outbox_of(EffectKind.FORWARD, "v"), "e-1")
        part = await search(redis, effects=("e-1",), vendors=("v",))
        assert part.where == [f"the effect forward (e-1) waits{words}"]


async def test_a_person_who_gets_nothing_for_a_while(redis: Redis) -> None:
    value = orjson.dumps({"code": 131026, "message": "undeliverable", "at": 5000})
    await redis.set(keys.suppressed("v", "999"), value, ex=60)
    part = await search(redis, recipients=("998", "999"), vendors=("v",))
    [event] = part.events
    assert (event.at_ms, event.kind, event.details) == (5000, Step.SUPPRESSED, {"code": 131026})
    assert "999" not in event.text
    assert part.where[0].startswith("this person gets nothing from the vendor for another ")
