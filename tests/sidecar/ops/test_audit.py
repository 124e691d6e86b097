"""The audit keeps who did what, within its bound, and fails nothing."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.clock import now_ms
from sidecar.ops.audit import FAILED, REFUSED, Audit, Filter, Who, as_json
from sidecar.redis import keys
from sidecar.redis.client import Redis, ResponseError, connect

ADA = Who("console", "ada", "operate")
BEN = Who("command", "ben@host")
PHP = Who("php", "Cleo")


@pytest.fixture
def audit(redis: Redis) -> Audit:
    return Audit(redis, 1000)


async def test_an_entry_comes_back_whole(audit: Audit) -> None:
    before = now_ms()
    await audit.record(ADA, "campaign.pause", "c-1", reason="wrong text", rows=3)
    [entry] = await audit.read()
    assert (entry.who, entry.action, entry.target) == (ADA, "campaign.pause", "c-1")
    assert (entry.outcome, entry.details) == ("done", {"reason": "wrong text", "rows": 3})
    assert before - 1000 <= entry.at_ms <= now_ms() + 1000
    assert re.fullmatch(rf"{entry.at_ms}-\d+", entry.id)
    assert as_json(entry)["who"] == {"kind": "console", "name": "ada", "role": "operate"}


async def test_the_newest_come_first_and_pages_follow_one_another(audit: Audit) -> None:
    for number in range(7):
        await audit.record(BEN, "number.lift", str(number))
    first = await audit.read(count=3)
    assert [entry.target for entry in first] == ["6", "5", "4"]
    await audit.record(BEN, "number.lift", "later")
    second = await audit.read(before=first[-1].id, count=10)
    assert [entry.target for entry in second] == ["3", "2", "1", "0"]
    assert await audit.read(before=second[-1].id) == []
    with pytest.raises(ResponseError):
        await audit.read(before="no id")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), ["sign_in", "pause", "resume", "change"]),
        (Filter(kind="php"), ["change"]),
        (Filter(who="AD"), ["sign_in", "pause"]),
        (Filter(action="campaign"), ["pause", "resume"]),
        (Filter(action="campaign.pause"), ["pause"]),
        (Filter(action="camp"), []),
        (Filter(target="c-1"), ["pause", "resume"]),
        (Filter(target="C-1", who="ben"), ["resume"]),
        (Filter(outcome="refused"), ["sign_in"]),
        (Filter(since_ms=now_ms() + 10**9), []),
        (Filter(since_ms=1), ["sign_in", "pause", "resume", "change"]),
    ],
)
async def test_filters(audit: Audit, wanted: Filter, expected: list[str]) -> None:
    await audit.record(ADA, "console.sign_in", outcome=REFUSED)
    await audit.record(ADA, "campaign.pause", "c-1")
    await audit.record(BEN, "campaign.resume", "c-12")
    await audit.record(PHP, "modes.change", "v")
    found = [entry.action.partition(".")[2] for entry in await audit.read(wanted=wanted)]
    assert found[::-1] == expected


async def test_what_is_far_back_is_found_over_several_reads(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ops.audit.CHUNK", 2)
    for number in range(6):
        await audit.record(ADA if number in (0, 3) else BEN, "number.lift", str(number))
    found = await audit.read(count=5, wanted=Filter(who="ada"))
    assert [entry.target for entry in found] == ["3", "0"]
    assert [entry.target for entry in await audit.read(count=5)] == ["5", "4", "3", "2", "1"]


async def test_it_is_bounded(redis: Redis) -> None:
    audit = Audit(redis, 100)
    for number in range(450):
        await audit.record(BEN, "number.lift", str(number))
    assert 100 <= await redis.xlen(keys.AUDIT) <= 300
    assert (await audit.read(count=1))[0].target == "449"


async def test_long_and_odd_texts_are_cut(audit: Audit) -> None:
    name = "x" * 5000 + "\ud800"
    await audit.record(Who("console", name), "console.sign_in", name, uids=["u" * 40] * 400)
    await audit.record(
        ADA, "a.b", "\udcff", text="\udcff", **{f"d{n}": "y" * 900 for n in range(40)}
    )
    second, first = await audit.read()
    assert len(first.who.name) < 250
    assert len(first.target) < 250
    assert len(str(first.details)) < 5000
    assert len(second.details) == 20
    assert len(str(second.details)) < 8000
    assert second.target == "\\udcff"


async def test_what_is_done_in_a_block(audit: Audit) -> None:
    async with audit.doing(ADA, "dead_letters.replay", "v", letters=5) as doing:
        doing.details["replayed"] = 4
    async with audit.doing(ADA, "number.resume", "n") as doing:
        doing.outcome = "nothing to do"
    with pytest.raises(KeyError):
        async with audit.doing(ADA, "campaign.cancel", "c", rows=2):
            raise KeyError("why")
    with pytest.raises(KeyError):
        await _refuse(audit)
    refused, failed, nothing, done = await audit.read()
    assert (done.outcome, done.details) == ("done", {"letters": 5, "replayed": 4})
    assert (nothing.outcome, nothing.details) == ("nothing to do", {})
    assert (failed.outcome, failed.details) == (FAILED, {"rows": 2, "reason": "'why'"})
    assert refused.outcome == REFUSED


async def test_details_may_have_any_name(audit: Audit) -> None:
    async with audit.doing(ADA, "number.lift", "n") as doing:
        doing.details |= {"who": 1, "action": 2, "target": 3, "outcome": 4, "self": 5}
    [entry] = await audit.read()
    assert (entry.target, entry.outcome, entry.details["target"]) == ("n", "done", 3)


async def test_an_entry_of_another_hand_hides_no_other(audit: Audit, redis: Redis) -> None:
    await audit.record(ADA, "number.lift")
    odd: list[dict[Any, Any]] = [
        {"x": "y"},
        *({"entry": text} for text in ("{", "[]", '{"name": "ada"}')),
    ]
    for fields in odd:
        await redis.xadd(keys.AUDIT, fields)
    found = await audit.read()
    assert [entry.action for entry in found] == ["(cannot be read)"] * 4 + ["number.lift"]
    assert len(await audit.read(wanted=Filter(who="ada"))) == 2


async def _refuse(audit: Audit) -> None:
    async with audit.doing(ADA, "campaign.cancel", "c") as doing:
        doing.outcome = REFUSED
        raise KeyError("why")


async def test_what_is_interrupted_is_recorded_as_failed(audit: Audit) -> None:
    began = asyncio.Event()

    async def act() -> None:
        async with audit.doing(BEN, "modes.change", "v"):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(act())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [entry] = await audit.read()
    assert (entry.outcome, entry.details) == (FAILED, {"reason": "interrupted"})


async def test_without_redis_the_log_has_it(redis: Redis) -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    audit = Audit(away, 1000)
    with capture_logs() as logs:
        await audit.record(ADA, "campaign.pause", "c-1", rows=3)
        await audit.record(ADA, "campaign.pause", "c-1", FAILED)
    await away.aclose()
    said, failed = logs
    assert (said["event"], said["log_level"]) == ("audit.not_recorded", "error")
    assert (said["name"], said["action"], said["target"]) == ("ada", "campaign.pause", "c-1")
    assert said["details"] == {"rows": 3}
    assert failed["log_level"] == "warning"


async def test_a_redis_that_takes_no_entry_fails_nothing(audit: Audit, redis: Redis) -> None:
    await redis.set(keys.AUDIT, "somebody's")
    with capture_logs() as logs:
        await audit.record(ADA, "campaign.pause", "c-1")
    assert [line["event"] for line in logs] == ["audit.not_recorded"]


def _actions() -> Iterator[str]:
    """Yield the actions that the code records."""
    for file in (Path(__file__).parents[3] / "sidecar").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="record" | "doing"),
                    args=[_, ast.Constant(value=str(action)), *_],
                ):
                    yield action


def test_every_action_is_a_noun_and_a_verb() -> None:
    found = set(_actions())
    assert {"modes.change", "parity.reset"} <= found
    assert [one for one in sorted(found) if not re.fullmatch(r"[a-z_]+\.[a-z_]+", one)] == []
