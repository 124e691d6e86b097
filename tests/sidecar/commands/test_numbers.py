"""``sidecar numbers``: what is paused or slow, and resuming it."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import orjson
import pytest
from click.testing import CliRunner, Result

from sidecar.commands.main import main
from sidecar.ops.audit import Audit
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from sidecar.sending.pauses import Paused, Pauses
from tests import trust
from tests.sidecar.conftest import RunCommand
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.limiter import Limiter, NumberPaused

pytestmark = pytest.mark.usefixtures("own_environment")

SPAM = Paused("number", "110", "vendor-1", 131048, "131048 spam limit", 1_750_000_000_000, False)
LOCKED = Paused("account", "account-1", "vendor-1", 131031, "131031 locked", 1_750_000_001_000)
Result_ = TypeVar("Result_")


@pytest.fixture
def run(run_command: RunCommand) -> Callable[..., Result]:
    return partial(run_command, "numbers")


def with_redis(redis_url: str, work: Callable[[Redis], Awaitable[Result_]]) -> Result_:
    """Do something with Redis; the command has an event loop of its own."""

    async def connected() -> Result_:
        client = connect(redis_url, timeout_s=5.0)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(connected())


async def ask(redis: Redis) -> None:
    lease = await held_lease(redis, "campaign-1")
    await Limiter(redis).grant(lease, "campaign-1", limits(80.0), ["999"])


async def pause(redis: Redis) -> None:
    for paused in (SPAM, LOCKED):
        await Pauses(redis).put(paused)


def test_nothing_is_known(run: Callable[..., Result]) -> None:
    assert run("list").stdout == "no number was used within 24 hours\n"
    assert run("list", "--json").stdout == ""


def test_a_number_at_full_rate(run: Callable[..., Result], redis_url: str) -> None:
    with_redis(redis_url, ask)
    shown = run("list")
    assert shown.exit_code == 0
    assert "110" in shown.stdout
    assert "80.0 of 80.0" in shown.stdout
    assert "sends at full rate" in shown.stdout
    [line] = run("list", "--json").stdout.splitlines()
    assert orjson.loads(line)["effective_rate"] == 80.0


def test_a_number_that_is_held(run: Callable[..., Result], redis_url: str) -> None:
    async def hold(redis: Redis) -> None:
        await ask(redis)
        seconds, _ = await redis.time()
        held = Hold(Pause(Scope.NUMBER, 300, 300), "131057 maintenance")
        await Limiter(redis).hold(limits(80.0), held, sent_at=float(seconds))

    with_redis(redis_url, hold)
    shown = run("list").stdout
    assert "held for " in shown
    assert "0.0 of 80.0" in shown
    assert orjson.loads(run("list", "--json").stdout)["present_rate"] == 0.0
    assert "Z: 131057 maintenance" in shown


def test_a_number_of_which_nothing_is_known_any_more(
    run: Callable[..., Result], redis_url: str
) -> None:
    async def forget(redis: Redis) -> None:
        await ask(redis)
        await redis.delete(keys.number("110"))

    with_redis(redis_url, forget)
    assert "idle" in run("list").stdout
    assert orjson.loads(run("list", "--json").stdout) == {"number": "110", "vendor_uid": None}


def test_what_is_paused_stands_first_with_reason_and_since_when(
    run: Callable[..., Result], redis_url: str
) -> None:
    with_redis(redis_url, ask)
    with_redis(redis_url, pause)
    lines = run("list").stdout.splitlines()
    assert lines[0] == "PAUSED since 2025-06-15 15:06:40Z: number 110 of vendor vendor-1"
    assert lines[1].strip() == "131048 spam limit"
    assert lines[2].strip() == "Settle it in WhatsApp Manager. Then: sidecar numbers resume 110"
    assert lines[3] == (
        "PAUSED since 2025-06-15 15:06:41Z: account account-1 for all its vendors, by a message "
        "of vendor-1"
    )
    assert lines[-1].endswith("  paused, see above"), "why stands there"
    documents = [orjson.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [one["paused"]["id"] for one in documents[:2]] == ["110", "account-1"]
    assert documents[2]["reason"] == "number 110 of vendor vendor-1 is paused: 131048 spam limit"


def test_a_number_of_a_paused_account(run: Callable[..., Result], redis_url: str) -> None:
    async def pause_account(redis: Redis) -> None:
        await ask(redis)
        await Pauses(redis).put(LOCKED)

    with_redis(redis_url, pause_account)
    assert run("list").stdout.endswith("  paused with account account-1, see above\n")


def test_a_vendors_line_and_its_token(run: Callable[..., Result], redis_url: str) -> None:
    async def pause_token(redis: Redis) -> None:
        lease = await held_lease(redis, "campaign-1")
        line = limits(80.0, line="vendor-1/110", account="vendor-1/")
        await Limiter(redis).grant(lease, "campaign-1", line, ["999"])
        for scope, id_ in (("token", "vendor-1"), ("account", "")):
            await Pauses(redis).put(Paused(scope, id_, "vendor-1", 190, "190 expired", 1, False))

    with_redis(redis_url, pause_token)
    lines = run("list").stdout.splitlines()
    assert lines[0].endswith("the access token of vendor vendor-1")
    assert lines[2].strip() == (
        "Enter an access token in PHP that may send. Then: sidecar numbers resume vendor-1"
    )
    assert lines[3].endswith("account of vendor vendor-1")
    assert lines[-1].split()[:2] == ["110", "vendor-1"]
    assert lines[-1].endswith("paused with the access token of vendor vendor-1, see above")
    resumed = run("resume", "vendor-1")
    assert resumed.exit_code == 0
    assert len(resumed.stdout.splitlines()) == 2
    assert run("list").stdout.splitlines()[-1].endswith("sends at full rate")


def test_a_vendor_does_not_name_what_it_has_paused_for_others(
    run: Callable[..., Result], redis_url: str
) -> None:
    with_redis(redis_url, pause)
    assert run("resume", "vendor-1").stdout.startswith("resumed number 110 of vendor vendor-1")
    assert "account account-1 for all its vendors" in run("list").stdout


def test_resuming(run: Callable[..., Result], redis_url: str) -> None:
    with_redis(redis_url, pause)
    with pytest.raises(NumberPaused, match="131048 spam limit"):
        with_redis(redis_url, ask)
    resumed = run("resume", "110")
    assert resumed.exit_code == 0
    [entry] = with_redis(redis_url, lambda redis: Audit(redis, 100).read())
    assert (entry.action, entry.target, entry.outcome) == ("number.resume", "110", "done")
    assert entry.details == {"resumed": [SPAM.name]}
    assert resumed.stdout == (
        "resumed number 110 of vendor vendor-1, which was paused for: 131048 spam limit\n"
    )
    with pytest.raises(NumberPaused, match="131031 locked"):
        with_redis(redis_url, ask)
    assert run("resume", "account-1").exit_code == 0
    with_redis(redis_url, ask)


def test_resuming_what_is_not_paused(run: Callable[..., Result], redis_url: str) -> None:
    with_redis(redis_url, pause)
    resumed = run("resume", "110", "119")
    assert resumed.exit_code == 1
    assert "not paused: 119" in resumed.stderr
    assert "resumed number 110 of vendor vendor-1" in resumed.stdout


def test_redis_is_away(run: Callable[..., Result], redis_url: str) -> None:
    gone = CliRunner().invoke(
        main,
        ["numbers", "list"],
        env={
            "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
            "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
            "SIDECAR_REDIS_URL": "redis://127.0.0.1:9/0",
        },
    )
    assert gone.exit_code == 1
    assert "Redis is unavailable" in gone.stderr


def test_resuming_as_json(run: Callable[..., Result], redis_url: str) -> None:
    with_redis(redis_url, pause)
    assert orjson.loads(run("resume", "110", "--json").stdout)["resumed"]["id"] == "110"
