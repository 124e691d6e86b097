"""Puts updates into webhooks: several in one, some of them twice."""

import asyncio
from bisect import bisect_right
from itertools import accumulate
from random import Random

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.delivery import Delivery
from simulator.cloud_api.envelope import EnvelopeWriter, Layout
from simulator.cloud_api.message import Update
from simulator.cloud_api.scheduler import Scheduler
from simulator.cloud_api.subscription import Subscription
from simulator.cloud_api.updates_post import UpdatesPost


class _Batch:
    """Updates that wait for ``size`` of them."""

    __slots__ = ("size", "subscription", "updates")

    def __init__(self, subscription: Subscription, size: int) -> None:
        self.subscription = subscription
        self.size = size
        self.updates: list[Update] = []


class Outbox:
    def __init__(
        self,
        config: CloudApiConfig,
        clock: Clock,
        rng: Random,
        scheduler: Scheduler,
        delivery: Delivery,
    ) -> None:
        self._config = config
        self._clock = clock
        self._rng = rng
        self._scheduler = scheduler
        self.delivery = delivery
        self._writer = EnvelopeWriter(config)
        self._sizes = list(config.batch_sizes)
        self._size_limits = list(accumulate(config.batch_sizes.values()))
        self._layouts = list(Layout)
        self._layout_weights = [getattr(config.batch_layout, one.value) for one in Layout]
        self._batches: dict[Subscription, _Batch] = {}
        #: Webhooks made once more.
        self.duplicates = 0
        #: Updates that had no webhook URL to go to.
        self.without_url = 0

    def add(self, update: Update) -> None:
        """Post an update, alone or with others; wait for those for a moment at most."""
        subscription = update.number.subscription
        if subscription is None:
            self.without_url += 1
            return
        batch = self._batches.get(subscription)
        if batch is None:
            size = self._draw_size()
            if size == 1:
                self._post(subscription, (update,))
                return
            batch = self._batches[subscription] = _Batch(subscription, size)
            self._scheduler.after(self._config.batch_wait_ms / 1000, self._flush, batch)
        batch.updates.append(update)
        if len(batch.updates) >= batch.size:
            self._flush(batch)

    def add_early(self, update: Update) -> "asyncio.Future[int | None] | None":
        """Post an update alone and at once. The future tells how the first try ended; None where
        webhooks are paused or have nowhere to go."""
        subscription = update.number.subscription
        if subscription is None or self.delivery.paused:
            self.add(update)
            return None
        post = UpdatesPost(self._writer, (update,), Layout.ONE_CHANGE, self._clock.now())
        post.answer = asyncio.get_running_loop().create_future()
        self.delivery.push(subscription, post)
        return post.answer

    def _flush(self, batch: _Batch) -> None:
        # The timer of a batch that was full in time finds it gone.
        if self._batches.get(batch.subscription) is batch:
            del self._batches[batch.subscription]
            self._post(batch.subscription, tuple(batch.updates))

    def _post(self, subscription: Subscription, updates: tuple[Update, ...]) -> None:
        layout = Layout.ONE_CHANGE
        if len(updates) > 1 and sum(self._layout_weights) > 0:
            layout = self._rng.choices(self._layouts, self._layout_weights)[0]
        post = UpdatesPost(self._writer, updates, layout, self._clock.now())
        self.delivery.push(subscription, post)
        share = self._config.duplicate_share
        if share and self._rng.random() < share:
            delay_s = self._rng.uniform(*self._config.duplicate_delay_ms) / 1000
            self._scheduler.after(delay_s, self._post_again, (subscription, post))

    def _post_again(self, what: tuple[Subscription, UpdatesPost]) -> None:
        subscription, post = what
        self.duplicates += 1
        again = UpdatesPost(self._writer, post.updates, post.layout, self._clock.now())
        self.delivery.push(subscription, again)

    def _draw_size(self) -> int:
        at = self._rng.random() * self._size_limits[-1]
        return self._sizes[bisect_right(self._size_limits, at)]
