"""``sidecar modes``: who does which vendor's work, and who changed it."""

import orjson

from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import OTHER, are
from tests.sidecar.service import VENDOR


async def test_listing(run_beside_php: RunBesidePhp, php: Php) -> None:
    are(php, OTHER, "sidecar", "sidecar", "shadow")
    shown = await run_beside_php("modes", "list")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "webhooks  1 php, 1 sidecar",
        "campaigns 1 php, 1 sidecar",
        "bots      1 php, 1 shadow",
        "VENDOR                                WEBHOOKS  CAMPAIGNS  BOTS",
        f"{VENDOR}  php       php        php",
        f"{OTHER}  sidecar   sidecar    shadow",
    ]
    shown = await run_beside_php("modes", "list", "--json")
    assert shown.stdout.splitlines()[1] == (
        f'{{"vendor_uid":"{OTHER}","title":null,"modes":{{"webhooks":"sidecar",'
        '"campaigns":"sidecar","bots":"shadow"}}'
    )


async def test_listing_says_who_is_held(run_beside_php: RunBesidePhp, php: Php) -> None:
    are(php, OTHER, "php", "held", "php")
    shown = await run_beside_php("modes", "list")
    assert "The campaigns of 1 vendor are held, so nobody sends them" in shown.stdout


async def test_history(run_beside_php: RunBesidePhp, php: Php) -> None:
    are(php, OTHER, "php", "php", "php", by="Ada")
    are(php, OTHER, "sidecar", "held", "php", by="Ada", reason="first vendor")
    shown = await run_beside_php("modes", "history", OTHER)
    assert shown.stdout.splitlines()[1:] == [
        "2023-11-14 22:13:20Z  kept as PHP's configuration had them            Ada",
        "2023-11-14 22:13:20Z  webhooks php -> sidecar, campaigns php -> held  Ada  first vendor",
    ]
    assert "never changed" in (await run_beside_php("modes", "history", VENDOR)).stdout
    shown = await run_beside_php("modes", "history", "nobody")
    assert (shown.exit_code, shown.stderr) == (1, "Error: PHP knows no vendor nobody\n")


async def test_history_as_lines_of_json(run_beside_php: RunBesidePhp, php: Php) -> None:
    are(php, OTHER, "sidecar", "held", "php", by="Ada", reason="first vendor")
    [change] = (await run_beside_php("modes", "history", OTHER, "--json")).stdout.splitlines()
    assert orjson.loads(change)["reason"] == "first vendor"
    assert (await run_beside_php("modes", "history", VENDOR, "--json")).stdout == ""
