"""The accounting of all vendors is added up."""

from sidecar.http.routes.metrics_accounting import accounting
from sidecar.ops.accounting import Counters
from sidecar.redis import keys
from sidecar.redis.client import Redis


async def test_all_vendors_together(redis: Redis) -> None:
    for vendor_uid, accepted in (("v", 2), ("w", 5)):
        await redis.sadd(keys.VENDORS, vendor_uid)
        counters = keys.counters(vendor_uid)
        for name, count in (("claimed", 9), ("failed", 1), ("webhooks_received", 3)):
            await redis.hset(counters, name, count)
        await redis.hset(counters, "accepted", accepted)
    families = accounting(await Counters(redis).read())
    found = {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }
    assert found["sidecar_sends_total", "accepted"] == 7
    assert found["sidecar_sends_total", "failed"] == 2
    assert found["sidecar_webhooks_received_total",] == 6
    assert found["sidecar_accounting_difference", "sends"] == 9, "what is missing of both"
