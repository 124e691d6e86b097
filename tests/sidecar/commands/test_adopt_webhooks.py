"""``sidecar adopt-webhooks``: it waits, and says how many there were."""

import orjson

from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp


async def test_stored_webhooks_are_waited_for(run_beside_php: RunBesidePhp, php: Php) -> None:
    php.pending = [1000, 7, 0]
    shown = await run_beside_php("adopt-webhooks")
    assert (shown.exit_code, shown.stdout) == (
        0,
        "1,000 or more webhooks were in PHP's table; none is left\n",
    )


async def test_stored_webhooks_that_nobody_takes_over(
    run_beside_php: RunBesidePhp, php: Php
) -> None:
    php.pending = [7] * 100
    shown = await run_beside_php("adopt-webhooks", "--timeout", "0.1")
    assert shown.exit_code == 1
    assert "Error: 7 webhooks are still in PHP's table. Is a worker running?" in shown.stderr


async def test_in_numbers(run_beside_php: RunBesidePhp, php: Php) -> None:
    php.pending = [7, 0]
    shown = await run_beside_php("adopt-webhooks", "--json")
    assert (shown.exit_code, orjson.loads(shown.stdout)) == (0, {"were": 7, "left": 0})
