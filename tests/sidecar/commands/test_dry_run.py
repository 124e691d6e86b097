"""``--dry-run`` of ``cutover`` and ``rollback``."""

import orjson
import pytest

from sidecar.commands import dry_run
from sidecar.redis import keys
from sidecar.redis.client import Redis
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import OTHER, are, modes
from tests.sidecar.service import VENDOR


async def test_a_cutover(run_beside_php: RunBesidePhp, php: Php) -> None:
    arguments = ("cutover", VENDOR, OTHER, "--campaigns", "sidecar", "--dry-run")
    are(php, OTHER, "php", "sidecar", "php")
    shown = await run_beside_php(*arguments)
    assert (shown.exit_code, shown.stderr) == (0, "")
    changes, line, note, compared = shown.stdout.splitlines()
    assert changes == "1 of 2 vendors would change"
    assert line == f"{VENDOR}  campaigns: php → sidecar"
    assert note.startswith("Nobody sends the campaigns for about")
    assert compared == f"Shadow has compared nothing of {VENDOR}."
    assert modes(php) == ("php", "php", "php")
    shown = await run_beside_php(*arguments, "--json")
    assert orjson.loads(shown.stdout) == {
        "would_move": [VENDOR],
        "notes": [note, compared],
        "vendors": [],
    }


async def test_a_rollback(run_beside_php: RunBesidePhp, php: Php, redis: Redis) -> None:
    are(php, VENDOR, "sidecar", "sidecar", "php")
    await redis.hset(keys.LEDGERS, "c1", VENDOR)
    await redis.hset(keys.ledger("c1"), "row", "c:x")
    shown = await run_beside_php("rollback", "--all", "--dry-run")
    assert shown.stdout.startswith("1 of 2 vendors would change\n")
    assert "In flight: campaign c1" in shown.stdout
    assert modes(php) == ("sidecar", "sidecar", "php")
    assert (await run_beside_php("audit")).stdout == "nothing of the kind is recorded\n"


async def test_an_unknown_vendor(run_beside_php: RunBesidePhp) -> None:
    shown = await run_beside_php("rollback", "nobody", "--dry-run")
    assert (shown.exit_code, shown.stderr) == (1, "Error: PHP knows no vendor nobody\n")


async def test_many(
    run_beside_php: RunBesidePhp, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "MAX_SHOWN", 1)
    are(php, VENDOR, "shadow", "php", "php")
    are(php, OTHER, "shadow", "php", "php")
    shown = await run_beside_php("rollback", "--all", "--dry-run")
    assert "and 1 more" in shown.stdout
