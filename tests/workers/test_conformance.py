"""What the workers ask of PHP is what the contract says, for every endpoint that they call.

The PHP side of these tests holds every request of every test against the OpenAPI document, as far
as it is not too large. Here each endpoint is called at least once, with all that a request may
hold.
"""

import orjson
import pytest

from contracts import backend as contract
from contracts.backend import CampaignState, SendError, SendOutcome, UpdateKind
from contracts.jobs import Lane
from sidecar.php.breaker import Breaker
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from tests.conftest import MakeSettings
from tests.contracts.conformance import assert_request_conforms, load
from tests.workers.payloads import make_update, status
from tests.workers.php import Answer, Php, answer
from tests.workers.rows import CAMPAIGN, result
from workers.inbox.delivery import Delivery
from workers.inbox.php_backlog import Backlog
from workers.reconciler import Reconciler
from workers.sending.claimer import Claimer
from workers.sending.ledger import Ledger
from workers.sending.release import Release
from workers.sending.results import Reporter, tell_php

#: The sidecar calls these, or what is shared with it, or they are called in tests of their own.
NOT_CALLED = {
    contract.STORE_WEBHOOKS,
    contract.VENDOR_CONFIG,
    contract.BOTS,
    contract.AI_ANSWERS,
    contract.MEDIA,
    contract.MODES,
    contract.FIND,
    contract.OBSERVE,
    contract.PENDING_EFFECTS,
    contract.PREVIEW_MESSAGES,
    contract.DIAGNOSIS,
    contract.UNKNOWN_MESSAGES,
    contract.RESOLVE_MESSAGES,
    contract.RETRY_MESSAGES,
    contract.EPOCH,
}

ENDPOINTS = {
    value
    for name, value in vars(contract).items()
    if name.isupper() and isinstance(value, str) and value.startswith("/internal/")
}


async def test_every_endpoint_is_asked_as_documented(
    php: Php,
    backend: Backend,
    redis: Redis,
    leases: Leases,
    ledger: Ledger,
    campaign_lease_held: Lease,
    make_settings: MakeSettings,
) -> None:
    delivery = Delivery(backend, Breaker("php.failing"))
    updates = [make_update(kind) for kind in UpdateKind]
    lower = [orjson.dumps(status("wamid.1"))]
    updates.append(make_update(UpdateKind.STATUS, attempts=3, lower_statuses=lower))
    updates += [make_update(order_key="vendor-1/99911") for _ in range(2)]
    await delivery.deliver([*updates, make_update(None)], batch_size=1000, concurrency=4)
    claimer = Claimer(
        backend, ledger, campaign_lease_held, vendor_uid="vendor-1", campaign_uid=CAMPAIGN
    )
    await claimer.claim(10, now=5)
    await claimer.recover("old")
    release = Release(backend, ledger, vendor_uid="vendor-1", campaign_uid=CAMPAIGN)
    release.add("row-1", "claim")
    await release.commit()
    await release.keep_state(CampaignState.PAUSED, "why")
    reporter = Reporter(tell_php(backend), ledger, wait_s=0)
    for number, outcome in enumerate(SendOutcome):
        reporter.add(result(f"row-{number}", outcome))
    full = SendError(code=1, message="x", details="y")
    reporter.add(result("row-9", SendOutcome.REQUEUE, error=full, due_at=5))
    php.once(contract.UPDATE_MESSAGE_STATUSES, Answer(500))
    php.when(
        contract.UPDATE_MESSAGE_STATUSES,
        lambda call: Answer(500) if b"row-9" in call.body else None,
    )
    await reporter.flush(5)
    settings = make_settings()
    await Reconciler(settings, redis, backend, leases, lambda _job: None).find_due_campaigns()
    php.always(contract.PENDING_WEBHOOKS, answer({"webhooks": [], "deleted": 0, "pending": 0}))
    await Backlog(redis, backend, lambda _job: None).take_over(campaign_lease_held)
    called = {call.path for call in php.calls}
    whole = contract.PROCESS_WEBHOOK.format(vendor_uid="vendor-1")
    assert called == {*(ENDPOINTS - NOT_CALLED - {contract.PROCESS_WEBHOOK}), whole}
    php.assert_conforms()


@pytest.mark.parametrize("lane", Lane)
async def test_a_full_batch_is_as_documented(php: Php, backend: Backend, lane: Lane) -> None:
    """Also one that is too large to be checked at the end of every test."""
    kind = UpdateKind.STATUS if lane is Lane.STATUSES else UpdateKind.MESSAGE
    delivery = Delivery(backend, Breaker("php.failing"))
    updates = [make_update(kind) for _ in range(contract.MAX_BATCH)]
    await delivery.deliver(updates, batch_size=contract.MAX_BATCH, concurrency=1)
    [call] = php.calls
    assert len(call.json["updates"]) == contract.MAX_BATCH
    assert_request_conforms(load("backend"), "POST", call.path, orjson.loads(call.body))
