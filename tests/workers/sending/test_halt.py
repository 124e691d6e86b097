"""A halt stands at once, and PHP learns of it in the end."""

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import CampaignState
from sidecar.php.client import Backend, BackendError
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending import halts
from tests.workers.php import Answer, Php
from tests.workers.rows import CAMPAIGN
from workers.sending.halt import CampaignHalt
from workers.sending.ledger import Ledger
from workers.sending.release import Release

KEY = keys.halt(CAMPAIGN)
STOPPED = (CampaignState.PAUSED, CampaignState.CANCELLED)


@pytest.fixture
def halt(redis: Redis, backend: Backend, ledger: Ledger) -> CampaignHalt:
    release = Release(backend, ledger, vendor_uid="vendor-1", campaign_uid=CAMPAIGN)
    return CampaignHalt(redis, release, CAMPAIGN)


async def test_a_pause_stands_and_php_is_told_why_once(
    php: Php, halt: CampaignHalt, redis: Redis
) -> None:
    assert not await halt.stands()
    await halt.pause("131042 payment: problème")
    assert await halt.stands()
    assert not php.calls
    await halt.tell_php()
    await halt.tell_php()
    [call] = php.calls
    assert call.json["campaign_state"] == "paused"
    assert call.json["reason"] == "131042 payment: problème"
    standing = await halts.Halts(redis).find(CAMPAIGN)
    assert standing is not None
    assert standing.acknowledged_at is not None


async def test_php_is_told_later_if_it_is_away(php: Php, halt: CampaignHalt) -> None:
    await halt.pause("why")
    gone = php.always(contract.RELEASE_MESSAGES, Answer(503))
    with pytest.raises(BackendError):
        await halt.tell_php()
    php.forget(gone)
    await halt.tell_php()
    assert php.calls[-1].json["reason"] == "why"


@pytest.mark.parametrize("state", list(STOPPED))
async def test_a_persons_halt_is_left_as_it_is(
    php: Php, halt: CampaignHalt, redis: Redis, state: CampaignState
) -> None:
    persons = halts.Halt(state, "lunch", acknowledged_at=1)
    await halts.Halts(redis).put(CAMPAIGN, "vendor-1", persons)
    await halt.pause("why")
    await halt.tell_php()
    assert not php.calls
    assert await halts.Halts(redis).find(CAMPAIGN) == persons


@pytest.mark.parametrize("state", list(STOPPED))
async def test_php_is_told_of_a_persons_halt_that_it_does_not_know(
    php: Php, halt: CampaignHalt, redis: Redis, state: CampaignState
) -> None:
    await halts.Halts(redis).put(CAMPAIGN, "vendor-1", halts.Halt(state, "lunch"))
    await halt.tell_php()
    await halt.tell_php()
    [call] = php.calls
    assert (call.json["campaign_state"], call.json["reason"]) == (state, "lunch")


async def test_a_campaign_that_was_resumed_meanwhile_is_not_halted_again(
    php: Php, halt: CampaignHalt, redis: Redis
) -> None:
    async def resume(_call: object) -> None:
        await redis.delete(KEY)

    php.when(contract.RELEASE_MESSAGES, resume)
    await halt.pause("why")
    await halt.tell_php()
    assert not await halt.stands()


async def test_a_cancellation_that_php_knows_stays(
    php: Php, halt: CampaignHalt, redis: Redis
) -> None:
    """The pause came later, and PHP refuses it. It is not told again."""
    refused = {"error": {"code": "campaign_cancelled", "message": "stop it"}}
    php.always(contract.RELEASE_MESSAGES, Answer(409, orjson.dumps(refused)))
    await halt.pause("why")
    await halt.tell_php()
    await halt.tell_php()
    assert len(php.calls) == 1
    standing = await halts.Halts(redis).find(CAMPAIGN)
    assert standing is not None
    assert (standing.state, standing.reason) == (CampaignState.CANCELLED, None)


async def test_another_refusal_is_an_error(php: Php, halt: CampaignHalt) -> None:
    refused = {"error": {"code": "fence_stale", "message": "no"}}
    php.always(contract.RELEASE_MESSAGES, Answer(409, orjson.dumps(refused)))
    await halt.pause("why")
    with pytest.raises(BackendError):
        await halt.tell_php()
    assert await halt.stands()


async def test_nothing_is_told_where_nothing_stands(php: Php, halt: CampaignHalt) -> None:
    await halt.tell_php()
    assert not php.calls
