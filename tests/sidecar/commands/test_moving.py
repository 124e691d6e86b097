"""``sidecar cutover`` and ``rollback``: what they change and say, and when they fail."""

import asyncio
from typing import Any

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import ME, OTHER, are, modes
from tests.sidecar.service import VENDOR


async def test_a_cutover_and_back(run_beside_php: RunBesidePhp, php: Php) -> None:
    arguments = ("--webhooks", "sidecar", "--campaigns", "sidecar", "--reason", "first vendor")
    shown = await run_beside_php("cutover", VENDOR, *arguments)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[1:] == [
        f"{VENDOR}  sidecar   sidecar    php",
        "1 of 1 vendors have the requested modes",
    ]
    assert (modes(php), modes(php, OTHER)) == (("sidecar", "sidecar", "php"), ("php",) * 3)
    assert [(past["by"], past["reason"]) for past in php.histories[VENDOR]] == [
        (ME, "first vendor")
    ] * 2
    shown = await run_beside_php("rollback", VENDOR)
    assert shown.exit_code == 0
    assert modes(php) == ("php", "php", "php")
    assert php.histories[VENDOR][-1]["reason"] == "rollback"


async def test_a_rollback_of_all(run_beside_php: RunBesidePhp, php: Php) -> None:
    for vendor_uid in (VENDOR, OTHER):
        await run_beside_php("cutover", vendor_uid, "--campaigns", "sidecar", "--bots", "shadow")
    shown = await run_beside_php("rollback", "--all", "--reason", "it burns")
    assert (shown.exit_code, shown.stdout) == (0, "2 of 2 vendors have the requested modes\n")
    assert modes(php) == modes(php, OTHER) == ("php", "php", "php")
    assert php.histories[OTHER][-1]["reason"] == "rollback of all: it burns"


async def test_what_cannot_be_given_back_yet_fails(
    run_beside_php: RunBesidePhp, php: Php, redis: Redis
) -> None:
    are(php, VENDOR, "sidecar", "held", "php")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "s:x:1")
    shown = await run_beside_php("cutover", VENDOR, "--campaigns", "sidecar")
    assert shown.exit_code == 0, "on the way to the sidecar nothing has to be settled"
    moved = asyncio.create_task(run_beside_php("rollback", "--all"))
    await asyncio.sleep(0.5)
    assert not moved.done()
    await redis.delete(keys.ledger("c1"), keys.LEDGERS)
    assert (await moved).exit_code == 0


async def test_what_is_not_as_asked_fails(
    run_beside_php: RunBesidePhp, php: Php, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.commands.rollback.ROLLBACK_S", 0.1)
    are(php, VENDOR, "sidecar", "held", "php")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "s:x:1")
    shown = await run_beside_php("rollback", "--all")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[1:] == [
        f"{VENDOR}  php       held       php      campaign c1: 1 rows to be settled; "
        "no worker has it",
        "1 of 2 vendors have the requested modes",
    ]
    assert shown.stderr == (
        "Error: 1 vendors do not have the requested modes yet: repeat the command. The campaigns "
        "of 1 are held until then, so nobody sends them\n"
    )


async def test_php_fails_half_way(run_beside_php: RunBesidePhp, php: Php) -> None:
    await run_beside_php("cutover", VENDOR, "--campaigns", "sidecar")
    changes = 0

    def override(call: Any) -> Any:
        nonlocal changes
        changes += b'"changes":[{' in call.body
        return refusal(503, "down") if changes == 2 else None

    php.override = override
    shown = await run_beside_php("rollback", VENDOR)
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: PHP call failed: /internal/modes answered 503")
    assert "repeat the command" in shown.stderr
    assert modes(php) == ("php", "held", "php")
    php.override = None
    assert (await run_beside_php("rollback", VENDOR)).exit_code == 0
    assert modes(php) == ("php", "php", "php")


async def test_redis_is_away(run_beside_php: RunBesidePhp, php: Php) -> None:
    shown = await run_beside_php(
        "cutover", VENDOR, "--bots", "shadow", SIDECAR_REDIS_URL="redis://127.0.0.1:9/0"
    )
    assert shown.exit_code == 1
    assert shown.stderr.startswith("Error: Redis is unavailable: ")
    assert "repeat the command" in shown.stderr
    assert (await run_beside_php("cutover", VENDOR, "--bots", "shadow")).exit_code == 0


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
    run_beside_php: RunBesidePhp, php: Php, arguments: tuple[str, ...], code: int, words: str
) -> None:
    shown = await run_beside_php(*arguments)
    assert shown.exit_code == code
    assert words in shown.stderr
    assert php.histories == {}
