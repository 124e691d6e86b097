"""Every error code as the answer to a send: what is done, on the real parts."""

from dataclasses import replace

import pytest

from contracts.cloud_api.errors import RULES
from simulator.cloud_api.fault import FaultKind
from tests.workers.conftest import MakeStage
from tests.workers.error_effects import ACTIONS, effects
from tests.workers.stage import Stage
from workers.sending.holds import PAUSES


def test_every_code_has_an_action() -> None:
    assert set(ACTIONS) == set(RULES), (
        "say in tests/workers/error_effects.py what the new code does"
    )


async def seen(stage: Stage) -> set[str]:
    """Return what the error has done."""
    found = await effects(
        stage.redis,
        vendor=stage.vendor.uid,
        campaign=stage.campaign.uid,
        number=stage.vendor.phone_number_ids[0],
        account=stage.vendor.business_account_id,
        path="answer",
    )
    rows = stage.queue()
    if any(row["status"] == 2 for row in rows):
        found.add("message failed")
    if any(row["status"] == 1 and row["retries"] for row in rows):
        found.add("message retried")
    return found


@pytest.fixture(autouse=True)
def long_maintenance(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a campaign does not wait for its end."""
    for code in (131057, 2494100):
        monkeypatch.setitem(PAUSES, code, replace(PAUSES[code], first_s=60))


@pytest.mark.parametrize("code", RULES)
async def test_an_answer(make_stage: MakeStage, code: int) -> None:
    stage = await make_stage(3, send_concurrency=1)
    # The last one of the row: what is accepted after it would end a row of errors.
    stage.fault(FaultKind.ERROR, code=code, to=stage.campaign.recipients[-1], times=1)
    await stage.run()
    paused = any(action.endswith(" paused") for action in ACTIONS[code])
    expected = ACTIONS[code] | ({"campaign stopped"} if paused else set())
    found = await seen(stage)
    if found & {"account held", "app held", "number held"} and code != 130429:
        expected.add("campaign rests")
    assert found == expected
    state = stage.campaign_data().get("state")
    if "campaign stopped" in expected:
        assert state == "paused"
        assert str(code) in stage.campaign_data()["reason"]
    else:
        assert state != "paused"
    assert stage.statuses()[3] == 0
