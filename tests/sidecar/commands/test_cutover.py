"""``sidecar cutover``: moving vendors' work, and back."""

import orjson
import pytest

from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import ME, OTHER, modes
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


async def test_it_may_be_repeated(run_beside_php: RunBesidePhp, php: Php) -> None:
    for _ in range(2):
        shown = await run_beside_php("cutover", VENDOR, OTHER, "--bots", "shadow")
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert shown.stdout.splitlines()[-1] == "2 of 2 vendors have the requested modes"
    assert len(php.histories[VENDOR]) == 1, "what is so already is no change"


@pytest.mark.parametrize("command", ["cutover", "rollback", "rollout"])
async def test_as_json(run_beside_php: RunBesidePhp, php: Php, command: str) -> None:
    arguments = {
        "cutover": ("cutover", VENDOR, "--bots", "shadow"),
        "rollback": ("rollback", VENDOR),
        "rollout": ("rollout", "--percent", "100", "--bots", "shadow"),
    }[command]
    shown = await run_beside_php(*arguments, "--json")
    assert shown.exit_code == 0, shown.output
    found = orjson.loads(shown.stdout)["vendors"]
    assert VENDOR in {vendor["vendor_uid"] for vendor in found}
    if command == "rollout":
        shown = await run_beside_php(*arguments, "--json")
        assert orjson.loads(shown.stdout) == {"would_move": [], "vendors": []}
