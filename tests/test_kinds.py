"""What comes in kinds is listed once, and everything else follows from the list: whoever adds a
kind of effect, a lane, a capability or a code hears of each place that has to know it.

(Of commands: ``tests/sidecar/commands/test_main.py``; of problems: ``tests/sidecar/ops`` and
``tests/docs``; of the Cloud API's errors: ``tests/workers/sending/test_error_policy.py``.)
"""

from enum import StrEnum
from pathlib import Path
from typing import cast, get_args

import dramatiq
import pytest

from contracts import jobs
from contracts.backend import ErrorCode
from contracts.effects import Effect, EffectKind, parse_effect
from contracts.jobs import Lane, Queue
from contracts.modes import TRANSITIONS, Capability, Mode, ModeChange, Modes
from contracts.sidecar_api import ModesChange
from sidecar.commands import modes_text, moving
from sidecar.ops import accounting, effects_backlog, message_problems
from sidecar.ops.accounting import Counters
from sidecar.redis import keys
from sidecar.redis.client import Redis
from simulator.backend.refusal import Refused
from workers import due_times
from workers.actors import make_worker_broker
from workers.inbox import php_backlog
from workers.runtime import Runtime

ROOT = Path(__file__).parents[1]
LARAVEL = ROOT / "contracts" / "laravel" / "src"


def texts(folder: Path, pattern: str) -> str:
    return "\n".join(path.read_text() for path in folder.rglob(pattern))


# -- kinds of effects --


class More(StrEnum):
    """The kinds of effects, and one that stands in the middle of them."""

    SEND_MESSAGE = EffectKind.SEND_MESSAGE
    AI_REPLY = EffectKind.AI_REPLY
    POSTCARD = "postcard"
    FORWARD = EffectKind.FORWARD
    BROADCAST = EffectKind.BROADCAST
    FETCH_MEDIA = EffectKind.FETCH_MEDIA


def test_the_test_adds_one_kind() -> None:
    assert set(More) - set(EffectKind) == {"postcard"}
    assert set(EffectKind) < set(More)


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> EffectKind:
    for module in (accounting, effects_backlog, due_times):
        monkeypatch.setattr(module, "EffectKind", More)
    return cast(EffectKind, More.POSTCARD)


async def put(redis: Redis, kind: EffectKind, vendor_uid: str, at: int) -> None:
    """Have an effect wait."""
    await redis.sadd(keys.VENDORS, vendor_uid)
    await redis.hincrby(keys.counters(vendor_uid), "effects", 1)
    await redis.sadd(keys.outbox(kind), vendor_uid)
    await redis.zadd(keys.outbox_of(kind, vendor_uid), {"id": at})
    await redis.hset(keys.effects(kind, vendor_uid), "id", b"{}")


async def test_one_more_kind_of_effect_is_counted_and_moves_nothing_else(
    redis: Redis, one_more: EffectKind
) -> None:
    for kind in (EffectKind.FORWARD, one_more, EffectKind.BROADCAST):
        await put(redis, kind, "v", 1000)
    await put(redis, one_more, "w", 1000)
    of_v, of_w = await Counters(redis).read()
    assert (of_v.effects.parts["waiting"], of_w.effects.parts["waiting"]) == (3, 1)
    assert of_v.balanced
    assert of_w.balanced


async def test_one_more_kind_of_effect_is_seen_where_it_waits(
    redis: Redis, one_more: EffectKind
) -> None:
    await put(redis, one_more, "v", 1000)
    waiting = {one.kind: one.waiting for one in await effects_backlog.read_effects(redis, 2000)}
    assert {str(kind): count for kind, count in waiting.items()} == {
        str(kind): int(kind.value == one_more.value) for kind in More
    }


async def test_one_more_kind_of_effect_is_moved_with_the_clock(
    redis: Redis, one_more: EffectKind
) -> None:
    await put(redis, one_more, "v", 9_000_000)
    wall = iter((10_000.0, 4_000.0, 4_000.0))
    due = due_times.DueTimes(redis, wall=lambda: next(wall), monotonic=lambda: 0.0)
    await due.look()
    assert await redis.zscore(keys.outbox_of(one_more, "v"), "id") == 3_000_000


@pytest.mark.parametrize("kind", EffectKind)
def test_a_kind_of_effect_has_a_model_and_a_name_in_the_contract(
    kind: EffectKind,
) -> None:
    assert kind in {model.model_fields["kind"].default for model in get_args(Effect)}
    with pytest.raises(ValueError, match="Field required"):
        parse_effect({"kind": kind.value})
    assert f"`{kind}`" in (ROOT / "docs" / "contract.md").read_text()


@pytest.mark.parametrize("kind", EffectKind)
def test_a_kind_of_effect_can_be_asked_for_in_php(kind: EffectKind) -> None:
    """That the facade and its fake have what ``Sidecar`` has is ``SidecarFakeTest``'s."""
    effects = (LARAVEL / "Effects" / "Effects.php").read_text()
    assert f"['kind' => '{kind}'" in effects
    first, *others = kind.split("_")
    method = f"public function {first}{''.join(map(str.title, others))}("
    assert method in effects
    assert method in (LARAVEL / "Sidecar.php").read_text()


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="there is no effect of kind 'postcard'"):
        parse_effect({"kind": "postcard"})


# -- lanes and queues --


def test_a_lane_is_in_every_table_of_lanes() -> None:
    for table in (message_problems.LATE_S, message_problems.WHAT, php_backlog.ROOM):
        assert set(table) == set(Lane)


async def test_a_lane_is_in_the_accounting(redis: Redis) -> None:
    await redis.sadd(keys.VENDORS, "v")
    [found] = await Counters(redis).read()
    assert set(found.waiting) == set(Lane)


def test_a_queue_has_an_actor_and_a_lane_a_queue() -> None:
    def never() -> Runtime:
        raise AssertionError("no worker is started")

    broker: dramatiq.Broker = make_worker_broker("redis://127.0.0.1:9/0", never)
    declared = {actor: broker.get_actor(actor).queue_name for actor in broker.get_declared_actors()}
    for lane in Lane:
        assert declared[jobs.drain(lane).actor] == jobs.drain(lane).queue == Queue(lane.value)
    assert set(declared.values()) == set(Queue)


# -- capabilities --


def test_a_capability_is_in_every_model_of_modes() -> None:
    names = {capability.value for capability in Capability}
    assert set(Modes.model_fields) == names
    assert set(ModeChange.model_fields) - {"vendor_uid"} == names
    others = {"vendor_uids", "by", "reason", "timeout_s"}
    assert set(ModesChange.model_fields) - others == names
    assert set(TRANSITIONS) == set(Capability)


def test_a_capability_has_an_option_and_a_column() -> None:
    assert set(moving._HELP) == set(Capability)
    assert ("VENDOR", *(one.upper() for one in Capability), "") == modes_text.NAMES
    shown = modes_text.row("v", Modes(webhooks=Mode.SHADOW))
    assert shown == ("v", "shadow", *["php"] * (len(Capability) - 1), "")


# -- error codes --


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_code_has_a_status_and_is_documented(code: ErrorCode) -> None:
    assert Refused(code, "no").status >= 400
    assert code.value in texts(ROOT / "contracts" / "openapi", "*.json")
