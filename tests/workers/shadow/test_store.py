"""What shadow keeps: an example that cannot be written is described, and the rest is kept."""

import json

import orjson
import pytest

from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.shadow.rules import Class, Kind
from tests.contracts.odd_json import ODD
from workers.shadow.comparison import Finding
from workers.shadow.planned import PlannedMessage
from workers.shadow.store import Changes


@pytest.mark.parametrize("odd", ODD)
async def test_an_example_of_what_cannot_be_written(redis: Redis, leases: Leases, odd: str) -> None:
    text, what = ODD[odd]
    changes = Changes(redis, "v", now=5, most_examples=3)
    php = {"queue_status": json.loads(text)}
    changes.found(PlannedMessage("m"), Finding(Kind.QUEUE_ROW, Class.DIFFERENT, {"a": 1}, php))
    async with leases.hold("shadow") as lease:
        assert lease is not None
        await changes.commit(lease)
    name = keys.parity_examples("v", Kind.QUEUE_ROW, Class.DIFFERENT)
    [example] = await redis.lrange(name, 0, -1)
    assert orjson.loads(example)["wamid"] == "m"
    assert what in orjson.loads(example)["php"]["unreadable"]
