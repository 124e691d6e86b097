"""``sidecar rollback``: giving vendors' work back to PHP."""

import asyncio

import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import OTHER, are, modes
from tests.sidecar.service import VENDOR


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
        f"{VENDOR}  php       held       php   campaign c1: 1 row to be settled; no worker has it",
        "1 of 2 vendors have the requested modes",
    ]
    assert shown.stderr == (
        "Error: 1 vendor does not have the requested modes yet: repeat it. The campaigns "
        "of 1 are held until then, so nobody sends them\n"
    )
