"""What moves vendors fails in one way: it says so, and may be repeated."""

from typing import Any

import orjson
import pytest

from tests.sidecar.answering_php import Php, refusal
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import ME, modes
from tests.sidecar.service import VENDOR


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
    assert "repeat it" in shown.stderr
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
    assert "repeat it" in shown.stderr
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


async def test_moves_are_recorded(run_beside_php: RunBesidePhp, php: Php) -> None:
    await run_beside_php("cutover", VENDOR, "--bots", "shadow", "--reason", "to see")
    await run_beside_php("rollout", "--percent", "100", "--bots", "sidecar", "--dry-run")
    await run_beside_php("rollout", "--percent", "100", "--bots", "sidecar")
    await run_beside_php("rollback", "--all")
    await run_beside_php("rollback", "nobody")
    shown = await run_beside_php("audit", "--action", "modes", "--json")
    cut, rolled, back, failed = map(orjson.loads, shown.stdout.splitlines())
    assert cut["who"] == {"kind": "command", "name": ME, "role": ""}
    assert (cut["target"], cut["details"]["reason"]) == (VENDOR, "to see")
    assert (rolled["target"], rolled["details"]["reason"]) == (
        "2 vendors",
        "rollout to 100 percent",
    )
    assert (back["target"], back["details"]["reason"]) == ("all vendors", "rollback of all")
    assert (failed["target"], failed["outcome"]) == ("nobody", "failed")
