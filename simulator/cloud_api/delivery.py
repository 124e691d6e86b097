"""What becomes of webhooks: acknowledged, tried again with growing delay, or given up."""

import structlog

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.post import Post
from simulator.cloud_api.scheduler import Scheduler
from simulator.cloud_api.subscription import Subscription

_log = structlog.get_logger(__name__)


class Delivery:
    """Settles every try. Only exactly 200 acknowledges a webhook (webhooks overview)."""

    def __init__(
        self, config: CloudApiConfig, clock: Clock, scheduler: Scheduler, ledger: Ledger
    ) -> None:
        self._config = config
        self._clock = clock
        self._scheduler = scheduler
        self._ledger = ledger
        self._failing: set[str] = set()
        self.paused = False
        #: Webhooks that are neither acknowledged nor given up.
        self.pending = 0
        #: Tries.
        self.posts = 0
        self.acknowledged = 0
        #: Tries that were answered, but not 200.
        self.refused = 0
        #: Tries without an answer: no connection, a broken one, or a time-out.
        self.unanswered = 0
        #: Tries after the first one.
        self.retried = 0
        self.abandoned = 0

    def now(self) -> float:
        return self._clock.now()

    def push(self, subscription: Subscription, post: Post) -> None:
        """Take charge of a new webhook."""
        self.pending += 1
        subscription.push(post)

    def starting(self) -> None:
        self.posts += 1

    def answered(self, subscription: Subscription, post: Post, status: int | None) -> None:
        if status == 200:
            self.pending -= 1
            self.acknowledged += 1
            post.acknowledge(self._ledger)
            if self._failing:
                self._log_success(subscription)
        else:
            self._fail(subscription, post, status)
        if post.answer is not None and not post.answer.done():
            post.answer.set_result(status)

    def _fail(self, subscription: Subscription, post: Post, status: int | None) -> None:
        if status is None:
            self.unanswered += 1
        else:
            self.refused += 1
        self._log_failure(subscription, status)
        age_s = self._clock.now() - post.created_at
        if not post.retries or age_s >= self._config.retry_age_s:
            self.pending -= 1
            self.abandoned += 1
            return
        longer_ms = post.retry_ms * self._config.retry_factor or self._config.retry_first_ms
        post.retry_ms = min(longer_ms, self._config.retry_max_ms)
        self._scheduler.after(post.retry_ms / 1000, self._retry, (subscription, post))

    def _retry(self, what: tuple[Subscription, Post]) -> None:
        subscription, post = what
        self.retried += 1
        subscription.push(post)

    def _log_failure(self, subscription: Subscription, status: int | None) -> None:
        if subscription.url not in self._failing:
            self._failing.add(subscription.url)
            _log.warning("webhooks are not acknowledged", url=subscription.url, status=status)

    def _log_success(self, subscription: Subscription) -> None:
        if subscription.url in self._failing:
            self._failing.discard(subscription.url)
            _log.info("webhooks are acknowledged again", url=subscription.url)
