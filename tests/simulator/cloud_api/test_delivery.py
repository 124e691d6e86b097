from itertools import pairwise

import pytest

from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.raw_post import RawPost, Signature
from simulator.cloud_api.subscription import Subscription
from tests.simulator.cloud_api.helpers import Receiver, eventually, receiving, simulating

_ONE = {"delivered_share": 0}


@pytest.mark.parametrize("status", [500, 503, 401, 404, 301])
async def test_refused_webhooks_come_again(receiver: Receiver, status: int) -> None:
    receiver.answers = [status, status]
    async with simulating(receiver.url, **_ONE) as api:
        await api.send()
        webhooks = (await api.idle())["webhooks"]
        assert (webhooks["posts"], webhooks["refused"], webhooks["retried"]) == (3, 2, 2)
        assert (webhooks["acknowledged"], webhooks["pending"]) == (1, 0)
        assert len({webhook.body for webhook in receiver.webhooks}) == 1


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_only_exactly_200_counts(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    async with simulating(receiver.url, **_ONE) as api:
        await api.send()
        report = await api.idle()
        assert report["webhooks"]["refused"] == 1
        assert report["statuses_acknowledged"]["sent"] == 1


def test_delays_grow_to_a_limit() -> None:
    engine = Engine(CloudApiConfig(retry_first_ms=500, retry_factor=2, retry_max_ms=30_000))
    subscription = Subscription("http://127.0.0.1/", "secret", engine.config, engine.delivery)
    post = RawPost(b"", Signature.VALID, engine.clock.now(), retries=True)
    delays_ms = []
    # For seven days, every 30 seconds.
    for _ in range(20_160):
        engine.delivery.answered(subscription, post, 500)
        delays_ms.append(post.retry_ms)
    assert delays_ms[:8] == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    assert set(delays_ms[8:]) == {30000}


async def test_delays_are_kept(receiver: Receiver) -> None:
    receiver.answers = [500] * 5
    delays = {"retry_first_ms": 20, "retry_factor": 2, "retry_max_ms": 80}
    async with simulating(receiver.url, **delays, **_ONE) as api:
        await api.send()
        await api.idle()
        times = [webhook.at for webhook in receiver.webhooks]
        gaps_ms = [(b - a) * 1000 for a, b in pairwise(times)]
        for gap_ms, least_ms in zip(gaps_ms, [20, 40, 80, 80, 80], strict=True):
            assert gap_ms >= least_ms - 3


async def test_nobody_listens_at_first(receiver: Receiver) -> None:
    async with receiving() as gone:
        url = gone.url
    async with simulating(url, **_ONE) as api:
        for at in range(50):
            await api.send(f"+49151{at:08d}")
        await eventually(lambda: api.simulator.engine.delivery.pending == 50)
        await eventually(lambda: api.simulator.engine.delivery.unanswered > 60)
        report = await api.report()
        assert not report["idle"]
        assert report["webhooks"]["pending"] == 50
        async with receiving(int(url.split(":")[2].split("/")[0])) as back:
            report = await api.idle()
            assert report["statuses_acknowledged"]["sent"] == 50
            assert report["webhooks"]["retried"] >= 50
            assert len(back.webhooks) == 50


async def test_no_answer_in_time(receiver: Receiver) -> None:
    receiver.delay_s = 0.3
    async with simulating(receiver.url, webhook_timeout_ms=50, **_ONE) as api:
        await api.send()
        await eventually(lambda: api.simulator.engine.delivery.unanswered >= 1)
        receiver.delay_s = 0
        report = await api.idle()
        assert report["webhooks"]["unanswered"] >= 1
        assert report["statuses_acknowledged"]["sent"] == 1


async def test_old_webhooks_are_given_up(receiver: Receiver) -> None:
    receiver.answer = 500
    async with simulating(receiver.url, retry_age_s=0.1, **_ONE) as api:
        await api.send()
        report = await api.idle()
        assert report["webhooks"]["abandoned"] == 1
        assert report["statuses_acknowledged"]["sent"] == 0
        assert 2 <= report["webhooks"]["posts"] <= 8


async def test_paused_webhooks_wait(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        assert (await api.control("POST", "pause-webhooks")).json == {"paused": True}
        await api.send()
        await eventually(lambda: api.simulator.engine.delivery.pending == 3)
        report = await api.report()
        assert report["webhooks"]["paused"]
        assert not report["idle"]
        assert not receiver.webhooks
        assert (await api.control("POST", "resume-webhooks")).json == {"paused": False}
        await api.idle()
        assert receiver.statuses() == ["sent", "delivered", "read"]


async def test_early_statuses_wait_too_when_paused(receiver: Receiver) -> None:
    async with simulating(receiver.url, early_share=1, **_ONE) as api:
        await api.control("POST", "pause-webhooks")
        assert (await api.send()).status == 200
        assert not receiver.webhooks
        await api.control("POST", "resume-webhooks")
        await api.idle()
        assert receiver.statuses() == ["sent"]
