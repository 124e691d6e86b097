"""``sidecar rollout``: percentages of vendors."""

import pytest

from sidecar.migration.rollout import percentile
from tests.sidecar.answering_php import Php
from tests.sidecar.commands.conftest import RunBesidePhp
from tests.sidecar.commands.vendors import ME, OTHER, modes
from tests.sidecar.service import VENDOR


@pytest.fixture
def vendors(php: Php) -> list[str]:
    """Vendors in the order in which percentages take them."""
    uids = [php.add_vendor(f"vendor-{number}") for number in range(40)]
    return sorted([*uids, VENDOR, OTHER], key=percentile)


async def test_percentages(run_beside_php: RunBesidePhp, php: Php, vendors: list[str]) -> None:
    for percent in (0, 20, 50, 100):
        shown = await run_beside_php("rollout", "--webhooks", "sidecar", "--percent", str(percent))
        assert shown.exit_code == 0
        inside = [vendor for vendor in vendors if percentile(vendor) < percent]
        assert [v for v in vendors if modes(php, v)[0] == "sidecar"] == inside
        assert f"{len(inside)} of 42 vendors are in {percent} percent" in shown.stdout
    assert php.histories[vendors[0]][0]["reason"] == "rollout to 20 percent"
    assert len(php.histories[vendors[0]]) == 1, "it was so already"


async def test_exceptions_and_a_dry_run(
    run_beside_php: RunBesidePhp, php: Php, vendors: list[str]
) -> None:
    arguments = ("rollout", "--bots", "shadow", "--percent", "100", "--except", vendors[3])
    shown = await run_beside_php(*arguments, "--dry-run")
    assert "41 of 42 vendors are in 100 percent; 41 of them change" in shown.stdout
    assert vendors[0] in shown.stdout
    assert vendors[3] not in shown.stdout
    assert php.histories == {}
    shown = await run_beside_php(*arguments, "--reason", "week 5")
    assert "41 of 41 vendors have the requested modes" in shown.stdout
    assert [v for v in vendors if modes(php, v)[2] == "php"] == [vendors[3]]
    assert php.histories[vendors[0]][0]["reason"] == "rollout to 100 percent: week 5"


async def test_who_was_changed_by_hand_is_shown(
    run_beside_php: RunBesidePhp, php: Php, vendors: list[str]
) -> None:
    """The first one went back by hand, the second with all; the last one is ahead by hand."""
    await run_beside_php("rollout", "--webhooks", "sidecar", "--percent", "20")
    await run_beside_php("rollback", "--all")
    await run_beside_php("cutover", vendors[0], "--webhooks", "shadow", "--reason", "slow")
    await run_beside_php("cutover", vendors[1], "--bots", "shadow", "--reason", "of no matter here")
    await run_beside_php("cutover", vendors[-1], "--webhooks", "sidecar")
    for dry in (("--dry-run",), ()):
        shown = await run_beside_php("rollout", "--webhooks", "sidecar", "--percent", "20", *dry)
        assert shown.exit_code == 0
        text = shown.stdout
        assert "Changed by hand before; --except leaves one out:" in text
        assert text.count(f"shadow    php        php   {ME} on ") == 1
        assert "Z: slow" in text
        assert "of no matter" not in text
        assert "1 vendor outside it has these modes already and keeps them:" in text
        assert vendors[-1] in text
    assert modes(php, vendors[0])[0] == "sidecar"
    assert modes(php, vendors[-1])[0] == "sidecar"
    shown = await run_beside_php("rollout", "--webhooks", "sidecar", "--percent", "20")
    assert "Changed by hand" not in shown.stdout, "nobody changes any more"
