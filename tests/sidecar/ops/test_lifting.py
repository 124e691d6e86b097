"""``sidecar numbers lift``: holds of numbers, accounts, apps and recipients."""

import asyncio

import orjson
import pytest
from click.testing import Result

from sidecar.ops.audit import Audit
from sidecar.ops.lifting import Lifting
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.numbers import number_state
from tests.sidecar.conftest import RunCommand
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.holds import Hold, Pause, Scope
from workers.sending.limiter import Limiter
from workers.sending.limits import Limits

pytestmark = pytest.mark.usefixtures("own_environment")

OWN = limits(80.0, line="vendor-1/110", account="vendor-1/waba", app="vendor-1/app")
SHARED = limits(80.0)
HOLDS = {
    Scope.NUMBER: "131057 maintenance",
    Scope.ACCOUNT: "80007 calls of the account",
    Scope.APP: "4 calls of the app",
}


async def hold(redis: Redis, line: Limits, *scopes: Scope, slow: bool = False) -> None:
    limiter = Limiter(redis)
    lease = await held_lease(redis, f"campaign of {line.line}")
    await limiter.grant(lease, f"campaign of {line.line}", line, ["999"])
    seconds, _ = await redis.time()
    for scope in scopes:
        held = Hold(Pause(scope, 300, 300, slow), HOLDS[scope])
        await limiter.hold(line, held, sent_at=float(seconds))


@pytest.fixture
async def held(redis: Redis) -> Redis:
    """A vendor's own line and one that is shared, each with its number, account and app held."""
    for line in (OWN, SHARED):
        await hold(redis, line, *HOLDS)
    return redis


async def run(run_command: RunCommand, *arguments: str) -> Result:
    return await asyncio.to_thread(run_command, "numbers", "lift", *arguments)


async def standing(redis: Redis) -> dict[str, set[str]]:
    """Return which scopes are held, by line."""
    found = {}
    for line in (OWN.line, SHARED.line):
        state = await number_state(redis, line)
        assert state is not None
        scopes = {"number": state.held, "account": state.account_held, "app": state.app_held}
        found[line] = {scope for scope, hold in scopes.items() if hold is not None}
    return found


ALL = {"number", "account", "app"}


@pytest.mark.parametrize(
    ("names", "own", "shared"),
    [
        (["110"], {"account", "app"}, {"account", "app"}),
        (["vendor-1/110"], {"account", "app"}, ALL),
        (["vendor-1"], set(), ALL),
        (["account-1"], ALL, {"number", "app"}),
        (["app-1", "waba"], {"number", "app"}, {"number", "account"}),
        (["--all"], set(), set()),
    ],
)
async def test_what_a_name_means(
    held: Redis, run_command: RunCommand, names: list[str], own: set[str], shared: set[str]
) -> None:
    result = await run(run_command, *names)
    assert result.exit_code == 0, result.output
    assert await standing(held) == {OWN.line: own, SHARED.line: shared}
    assert len(result.stdout.splitlines()) == 6 - len(own) - len(shared)
    assert all(line.startswith("lifted: ") for line in result.stdout.splitlines())
    [entry] = await Audit(held, 100).read()
    assert (entry.action, entry.outcome) == ("number.lift", "done")
    assert entry.target == ("all" if names == ["--all"] else ", ".join(names))
    assert len(entry.details["lifted"]) == 6 - len(own) - len(shared)


async def test_it_says_what_it_was(held: Redis, run_command: RunCommand) -> None:
    result = await run(run_command, "vendor-1/110")
    assert result.stdout == "lifted: number 110 of vendor vendor-1: the hold: 131057 maintenance\n"
    [line] = (await run(run_command, "account-1", "--json")).stdout.splitlines()
    assert orjson.loads(line)["scope"] == "account"


async def test_exactly_one(held: Redis) -> None:
    """The shared line has the name that the vendor's is also called."""
    [lifted] = await Lifting(held, []).lift_exactly("account", OWN.account)
    assert str(lifted) == "account waba of vendor vendor-1: the hold: 80007 calls of the account"
    assert await standing(held) == {OWN.line: {"number", "app"}, SHARED.line: ALL}
    assert await Lifting(held, []).lift_exactly("account", OWN.account) == []
    idle = Lifting(held, [("vendor-1/119", None)])
    assert await idle.lift(["119"], None) == []
    with pytest.raises(ValueError, match="recipient"):
        await Lifting(held, []).lift_exactly("recipient", "1")


async def test_a_slowed_rate(redis: Redis, run_command: RunCommand) -> None:
    await hold(redis, OWN, Scope.NUMBER, slow=True)
    result = await run(run_command, "110")
    assert [line.rpartition(": ")[2] for line in result.stdout.splitlines()] == [
        "131057 maintenance",
        "the slowed rate",
    ]
    state = await number_state(redis, OWN.line)
    assert state is not None
    assert (state.held, state.reason) == (None, None) or state.effective_rate < 80.0


async def test_nothing_was_held(redis: Redis, run_command: RunCommand) -> None:
    result = await run(run_command, "110", "119")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was held: 110, 119" in result.stderr
    [entry] = await Audit(redis, 100).read()
    assert (entry.target, entry.outcome) == ("110, 119", "nothing to do")
    everything = await run(run_command, "--all")
    assert (everything.exit_code, everything.stdout) == (0, "nothing was held\n")


async def test_an_account_of_which_no_number_is_known(
    redis: Redis, run_command: RunCommand
) -> None:
    seconds, _ = await redis.time()
    held = Hold(Pause(Scope.ACCOUNT, 300, 300), HOLDS[Scope.ACCOUNT])
    await Limiter(redis).hold(SHARED, held, sent_at=float(seconds))
    result = await run(run_command, "account-1")
    assert result.stdout.startswith("lifted: account account-1: the hold: 80007")


@pytest.mark.parametrize("arguments", [(), ("110", "--all")])
async def test_which_is_not_said(
    redis: Redis, run_command: RunCommand, arguments: tuple[str, ...]
) -> None:
    result = await run(run_command, *arguments)
    assert (result.exit_code, "--all" in result.stderr) == (2, True)


async def test_a_recipient(held: Redis, run_command: RunCommand) -> None:
    """However the number is written; a burst that is under way is no hold."""
    limiter = Limiter(held)
    await limiter.hold_pair(OWN.line, "447700900001", 600)
    result = await run(run_command, "vendor-1/110", "--recipient", "+44 7700 900001")
    assert result.exit_code == 0, result.output
    assert "the hold of recipient +44 7700 900001" in result.stdout
    assert (await standing(held))[OWN.line] == ALL, "nothing else is lifted"
    again = await run(run_command, "vendor-1/110", "--recipient", "447700900001")
    assert again.exit_code == 1
    burst = await run(run_command, "110", "--recipient", "999")
    assert burst.exit_code == 1


async def test_a_recipient_whom_an_older_version_holds(
    held: Redis, run_command: RunCommand
) -> None:
    key = keys.pair(OWN.line, "447700900001")
    await held.set(key, "0:4000000000000000")
    result = await run(run_command, "vendor-1/110", "--recipient", "447700900001")
    assert result.exit_code == 0, result.output
    assert not await held.exists(key)
