"""``sidecar modes``, ``cutover``, ``rollback``, ``rollout`` and ``adopt-webhooks``: what they
change, what a person reads, and when the command fails."""

import asyncio
import getpass
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands.main import main
from sidecar.migration.rollout import percentile
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests import trust
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.service import VENDOR

pytestmark = pytest.mark.usefixtures("own_environment")

ME = f"{getpass.getuser()}@{socket.gethostname()}"
OTHER = "11111111-2222-3333-4444-555555555555"

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is set up as the commands want it, but not for good."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(redis_url: str, php: Php) -> Run:
    """Run a command, which has an event loop of its own, beside the PHP side."""
    environment = {
        "SIDECAR_BACKEND_URL": php.url,
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
        "SIDECAR_REDIS_URL": redis_url,
        "SIDECAR_CRON_SETTLE_S": "0",
    }

    async def run(*arguments: str, **more: str) -> Result:
        php.add_vendor(OTHER)
        env = {**environment, **more}
        return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=env)

    return run


def are(php: Php, vendor_uid: str, webhooks: str, campaigns: str, bots: str, **said: Any) -> None:
    """Have a vendor's modes be these."""
    php.modes_version += 1
    before = php.modes_of(vendor_uid)
    after = {"webhooks": webhooks, "campaigns": campaigns, "bots": bots}
    past = {"at": 1_700_000_000_000, "version": php.modes_version, "before": before, "after": after}
    php.histories.setdefault(vendor_uid, []).append({"by": None, "reason": None, **past, **said})


def modes(php: Php, vendor_uid: str = VENDOR) -> tuple[str, ...]:
    return tuple(php.modes_of(vendor_uid).values())


# -- modes --


async def test_listing(run: Run, php: Php) -> None:
    are(php, OTHER, "sidecar", "sidecar", "shadow")
    shown = await run("modes", "list")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "webhooks  1 php, 1 sidecar",
        "campaigns 1 php, 1 sidecar",
        "bots      1 php, 1 shadow",
        "VENDOR                                WEBHOOKS  CAMPAIGNS  BOTS",
        f"{VENDOR}  php       php        php",
        f"{OTHER}  sidecar   sidecar    shadow",
    ]
    shown = await run("modes", "list", "--json")
    assert shown.stdout.splitlines()[1] == (
        f'{{"vendor_uid":"{OTHER}","title":null,"modes":{{"webhooks":"sidecar",'
        '"campaigns":"sidecar","bots":"shadow"}}'
    )


async def test_listing_says_who_is_held(run: Run, php: Php) -> None:
    are(php, OTHER, "php", "held", "php")
    shown = await run("modes", "list")
    assert "The campaigns of 1 vendors are held, and nobody sends them" in shown.stdout


async def test_history(run: Run, php: Php) -> None:
    are(php, OTHER, "php", "php", "php", by="Ada")
    are(php, OTHER, "sidecar", "held", "php", by="Ada", reason="first vendor")
    shown = await run("modes", "history", OTHER)
    assert shown.stdout.splitlines() == [
        "2023-11-14 22:13:20Z  kept as PHP's configuration had them  by Ada",
        "2023-11-14 22:13:20Z  webhooks php -> sidecar, campaigns php -> held  by Ada "
        "(first vendor)",
    ]
    assert "its modes were never changed" in (await run("modes", "history", VENDOR)).stdout
    shown = await run("modes", "history", "nobody")
    assert (shown.exit_code, shown.stderr) == (1, "Error: PHP knows no vendor nobody\n")


# -- cutover and rollback --


async def test_a_cutover_and_back(run: Run, php: Php) -> None:
    arguments = ("--webhooks", "sidecar", "--campaigns", "sidecar", "--reason", "first vendor")
    shown = await run("cutover", VENDOR, *arguments)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[1:] == [
        f"{VENDOR}  sidecar   sidecar    php",
        "1 of 1 vendors are as asked",
    ]
    assert (modes(php), modes(php, OTHER)) == (("sidecar", "sidecar", "php"), ("php",) * 3)
    assert [(past["by"], past["reason"]) for past in php.histories[VENDOR]] == [
        (ME, "first vendor")
    ] * 2
    shown = await run("rollback", VENDOR)
    assert shown.exit_code == 0
    assert modes(php) == ("php", "php", "php")
    assert php.histories[VENDOR][-1]["reason"] == "rollback"


async def test_a_rollback_of_all(run: Run, php: Php) -> None:
    for vendor_uid in (VENDOR, OTHER):
        await run("cutover", vendor_uid, "--campaigns", "sidecar", "--bots", "shadow")
    shown = await run("rollback", "--all", "--reason", "it burns")
    assert (shown.exit_code, shown.stdout) == (0, "2 of 2 vendors are as asked\n")
    assert modes(php) == modes(php, OTHER) == ("php", "php", "php")
    assert php.histories[OTHER][-1]["reason"] == "rollback of all: it burns"


async def test_what_cannot_be_given_back_yet_fails(run: Run, php: Php, redis: Redis) -> None:
    are(php, VENDOR, "sidecar", "held", "php")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "s:x:1")
    shown = await run("cutover", VENDOR, "--campaigns", "sidecar")
    assert shown.exit_code == 0, "on the way to the sidecar nothing has to be settled"
    moved = asyncio.create_task(run("rollback", "--all"))
    await asyncio.sleep(0.5)
    assert not moved.done()
    await redis.delete(keys.ledger("c1"), keys.LEDGERS)
    assert (await moved).exit_code == 0


async def test_what_is_not_as_asked_fails(
    run: Run, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.commands.cutover.ROLLBACK_S", 0.1)
    are(php, VENDOR, "sidecar", "held", "php")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "s:x:1")
    shown = await run("rollback", "--all")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[1:] == [
        f"{VENDOR}  php       held       php      campaign c1: 1 rows to be settled; "
        "no worker has it",
        "1 of 2 vendors are as asked",
    ]
    assert shown.stderr == (
        "Error: 1 vendors are not as asked: repeat the command. The campaigns of 1 are held until "
        "then: nobody sends them\n"
    )


async def test_php_fails_half_way(run: Run, php: Php) -> None:
    await run("cutover", VENDOR, "--campaigns", "sidecar")
    changes = 0

    def override(call: Any) -> Any:
        nonlocal changes
        changes += b'"changes":[{' in call.body
        return refusal(503, "down") if changes == 2 else None

    php.override = override
    shown = await run("rollback", VENDOR)
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: PHP cannot be used: /internal/modes answered 503")
    assert "repeat the command" in shown.stderr
    assert modes(php) == ("php", "held", "php")
    php.override = None
    assert (await run("rollback", VENDOR)).exit_code == 0
    assert modes(php) == ("php", "php", "php")


async def test_redis_is_away(run: Run, php: Php) -> None:
    shown = await run(
        "cutover", VENDOR, "--bots", "shadow", SIDECAR_REDIS_URL="redis://127.0.0.1:9/0"
    )
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: Redis cannot be used: ")
    assert "repeat the command" in shown.stderr
    assert (await run("cutover", VENDOR, "--bots", "shadow")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cutover", VENDOR), 2, "say what to move"),
        (("cutover", "--bots", "php"), 2, "Missing argument"),
        (("cutover", VENDOR, "--campaigns", "held"), 2, "'held' is not one of"),
        (("cutover", VENDOR, "nobody", "--bots", "shadow"), 1, "PHP knows no vendor nobody"),
        (("rollback",), 2, "name the vendors, or say --all"),
        (("rollback", VENDOR, "--all"), 2, "name the vendors, or say --all"),
        (("rollout", "--percent", "10"), 2, "say what to move"),
        (("rollout", "--percent", "101", "--bots", "php"), 2, "101"),
        (("rollout", "--percent", "100", "--bots", "shadow", "--except", "nobody"), 1, "nobody"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    run: Run, php: Php, arguments: tuple[str, ...], code: int, words: str
) -> None:
    shown = await run(*arguments)
    assert shown.exit_code == code
    assert words in shown.stderr
    assert php.histories == {}


# -- rollout --


@pytest.fixture
def vendors(php: Php) -> list[str]:
    """Vendors in the order in which percentages take them."""
    uids = [php.add_vendor(f"vendor-{number}") for number in range(40)]
    return sorted([*uids, VENDOR, OTHER], key=percentile)


async def test_percentages(run: Run, php: Php, vendors: list[str]) -> None:
    for percent in (0, 20, 50, 100):
        shown = await run("rollout", "--webhooks", "sidecar", "--percent", str(percent))
        assert shown.exit_code == 0
        inside = [vendor for vendor in vendors if percentile(vendor) < percent]
        assert [v for v in vendors if modes(php, v)[0] == "sidecar"] == inside
        assert f"{len(inside)} of 42 vendors are in {percent} percent" in shown.stdout
    assert php.histories[vendors[0]][0]["reason"] == "rollout to 20 percent"
    assert len(php.histories[vendors[0]]) == 1, "it was so already"


async def test_exceptions_and_a_dry_run(run: Run, php: Php, vendors: list[str]) -> None:
    arguments = ("rollout", "--bots", "shadow", "--percent", "100", "--except", vendors[3])
    shown = await run(*arguments, "--dry-run")
    assert "41 of 42 vendors are in 100 percent; 41 of them change" in shown.stdout
    assert vendors[0] in shown.stdout
    assert vendors[3] not in shown.stdout
    assert php.histories == {}
    shown = await run(*arguments, "--reason", "week 5")
    assert "41 of 41 vendors are as asked" in shown.stdout
    assert [v for v in vendors if modes(php, v)[2] == "php"] == [vendors[3]]
    assert php.histories[vendors[0]][0]["reason"] == "rollout to 100 percent: week 5"


async def test_who_was_changed_by_hand_is_shown(run: Run, php: Php, vendors: list[str]) -> None:
    """The first one went back by hand, the second with all; the last one is ahead by hand."""
    await run("rollout", "--webhooks", "sidecar", "--percent", "20")
    await run("rollback", "--all")
    await run("cutover", vendors[0], "--webhooks", "shadow", "--reason", "slow")
    await run("cutover", vendors[1], "--bots", "shadow", "--reason", "of no matter here")
    await run("cutover", vendors[-1], "--webhooks", "sidecar")
    for dry in (("--dry-run",), ()):
        shown = await run("rollout", "--webhooks", "sidecar", "--percent", "20", *dry)
        assert shown.exit_code == 0
        text = shown.stdout
        assert "Changed by hand before; --except leaves one out:" in text
        assert text.count(f"shadow    php        php      {ME} on ") == 1
        assert "Z: slow" in text
        assert "of no matter" not in text
        assert "1 vendors outside of it are so already, and stay so:" in text
        assert vendors[-1] in text
    assert modes(php, vendors[0])[0] == "sidecar"
    assert modes(php, vendors[-1])[0] == "sidecar"
    shown = await run("rollout", "--webhooks", "sidecar", "--percent", "20")
    assert "Changed by hand" not in shown.stdout, "nobody changes any more"


# -- adopt-webhooks --


async def test_stored_webhooks_are_waited_for(run: Run, php: Php) -> None:
    php.pending = [1000, 7, 0]
    shown = await run("adopt-webhooks")
    assert (shown.exit_code, shown.stdout) == (
        0,
        "1,000 or more webhooks waited in PHP's table; none does now\n",
    )


async def test_stored_webhooks_that_nobody_takes_over(run: Run, php: Php) -> None:
    php.pending = [7] * 100
    shown = await run("adopt-webhooks", "--timeout", "0.1")
    assert shown.exit_code == 1
    assert "Error: 7 webhooks are still in PHP's table: does a worker run?" in shown.stderr
