"""What happens to a message after it was accepted."""

import asyncio
from random import Random

from simulator.cloud_api.customers import Customers
from simulator.cloud_api.message import DELIVERED, FAILED, READ, SENT, Message, Plan, StatusUpdate
from simulator.cloud_api.platform import Platform
from simulator.cloud_api.recipient import Magic, MagicKind
from simulator.cloud_api.scheduler import Scheduler

_ALL: Plan = (SENT, DELIVERED, READ)
_DELIVERED: Plan = (SENT, DELIVERED)
_READ_ONLY: Plan = (SENT, READ)
_SENT: Plan = (SENT,)
_FAILED: Plan = (FAILED,)
_SENT_FAILED: Plan = (SENT, FAILED)


def drawn_code(rng: Random, shares: dict[int, float]) -> int | None:
    """Draw one of the error codes by their shares, or None for the rest."""
    drawn = rng.random()
    for code, share in shares.items():
        drawn -= share
        if drawn < 0:
            return code
    return None


class Lifecycle:
    """Draws what happens to each message, by ``outcomes_rng``, and makes it happen, with delays by
    the platform's ``rng``."""

    def __init__(
        self,
        platform: Platform,
        scheduler: Scheduler,
        outcomes_rng: Random,
        customers: Customers,
    ) -> None:
        self._config = config = platform.config
        self._clock = platform.clock
        self._rng = platform.rng
        self._ledger = platform.ledger
        self._outbox = platform.outbox
        self._scheduler = scheduler
        self._outcomes_rng = outcomes_rng
        self._customers = customers
        #: By kind of status.
        self._delays_ms = {
            SENT: config.sent_delay_ms,
            DELIVERED: config.delivered_delay_ms,
            READ: config.read_delay_ms,
            FAILED: config.failed_delay_ms,
        }

    def begin(self, message: Message, magic: Magic | None) -> bool:
        """Draw what will happen to an accepted message. Returns whether it is held first."""
        held = magic is not None and magic.kind is MagicKind.HELD
        if magic is not None and (magic.kind is MagicKind.FAILED or magic.code):
            message.plan, message.failed_code = _FAILED, magic.code
            return held
        self._draw(message)
        return held or _happens(self._outcomes_rng, self._config.held_share)

    def start(self, message: Message, *, held: bool) -> None:
        """Let the first status come in its time."""
        held_s = self._delay_s(self._config.held_delay_ms) if held else 0.0
        self._schedule_next(message, held_s)

    def start_early(self, message: Message) -> "asyncio.Future[int | None] | None":
        """Post the first status now; see :meth:`Outbox.add_early` for what is returned."""
        return self._outbox.add_early(self._create_next(message))

    def _draw(self, message: Message) -> None:
        config = self._config
        if (
            config.failed_shares
            and (code := drawn_code(self._outcomes_rng, config.failed_shares)) is not None
        ):
            is_sent = _happens(self._outcomes_rng, config.failed_after_sent_share)
            message.plan = _SENT_FAILED if is_sent else _FAILED
            message.failed_code = code
        elif not _happens(self._outcomes_rng, config.delivered_share):
            message.plan = _SENT
        elif not _happens(self._outcomes_rng, config.read_share):
            message.plan = _DELIVERED
        elif _happens(self._outcomes_rng, config.delivered_omitted_share):
            message.plan = _READ_ONLY
        else:
            message.plan = _ALL

    def _schedule_next(self, message: Message, extra_s: float = 0.0) -> None:
        limits_ms = self._delays_ms[message.plan[message.step]]
        self._scheduler.after(extra_s + self._delay_s(limits_ms), self._advance, message)

    def _advance(self, message: Message) -> None:
        update = self._create_next(message)
        overtaken = message.held
        if overtaken is not None:
            message.held = None
            self._outbox.add(update)
            delay_s = self._delay_s(self._config.reorder_delay_ms)
            self._scheduler.after(delay_s, self._outbox.add, overtaken)
        elif message.step < len(message.plan) and _happens(self._rng, self._config.reorder_share):
            message.held = update
        else:
            self._outbox.add(update)

    def _create_next(self, message: Message) -> StatusUpdate:
        kind = message.plan[message.step]
        message.step += 1
        update = self._ledger.create_status(message, kind, self._clock.now())
        if message.step < len(message.plan):
            self._schedule_next(message)
        is_proof = kind == DELIVERED or (kind == READ and DELIVERED not in message.plan)
        if is_proof and _happens(self._rng, self._config.reply_share):
            delay_s = self._delay_s(self._config.reply_delay_ms)
            self._scheduler.after(delay_s, self._customers.reply, message)
        return update

    def _delay_s(self, limits_ms: tuple[float, float]) -> float:
        least, most = limits_ms
        return (least + (most - least) * self._rng.random()) / 1000


def _happens(rng: Random, share: float) -> bool:
    return share >= 1 or (share > 0 and rng.random() < share)
