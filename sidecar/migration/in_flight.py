"""What the sidecar has in flight for vendors that are being moved."""

from collections.abc import Set
from dataclasses import dataclass
from typing import cast

from sidecar.effects.outbox import vendor_of_replies
from sidecar.format import many
from sidecar.ops.accounting import Counters
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.halts import is_untold


@dataclass(frozen=True, slots=True)
class CampaignInFlight:
    """``rows`` are claimed, being sent, or their outcome is not with PHP yet; ``claims`` have no
    answer yet. ``held``: a worker holds the campaign's lease. ``untold``: it was paused or
    cancelled, and PHP does not know that yet."""

    campaign_uid: str
    vendor_uid: str
    rows: int
    claims: int
    held: bool
    untold: bool = False

    @property
    def unsettled(self) -> bool:
        """Return whether a row may still be sent, or its outcome is not with PHP, or PHP's cron
        would send what is paused. A worker alone does no harm: it has no rows, and PHP gives it
        none."""
        return bool(self.rows or self.claims or self.untold)

    def __str__(self) -> str:
        what = [f"{many(self.rows, 'row')} to be settled"] if self.rows else []
        what += [f"{many(self.claims, 'claim')} without an answer"] if self.claims else []
        what += ["PHP does not know yet that it was stopped"] if self.untold else []
        who = "a worker ends it" if self.held else "no worker has it"
        return f"campaign {self.campaign_uid}: {', '.join(what) or 'no rows'}; {who}"


@dataclass(frozen=True, slots=True)
class WebhooksInFlight:
    """A vendor's ``webhooks`` in its inbox, and ``updates`` that wait for a retry; None: too many
    to count."""

    webhooks: int
    updates: int | None

    def __bool__(self) -> bool:
        return self.webhooks > 0 or self.updates != 0

    def __str__(self) -> str:
        words = [many(self.webhooks, "webhook")] if self.webhooks else []
        if self.updates != 0:
            some = (
                "many updates that wait"
                if self.updates is None
                else many(self.updates, "update that waits", "updates that wait")
            )
            words.append(f"{some} to be tried again")
        return " and ".join(words)


class InFlight:
    """Reads it from Redis. Changes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counters = Counters(redis)

    async def campaigns(self, vendor_uids: Set[str]) -> list[CampaignInFlight]:
        """Return these vendors' campaigns that a worker holds or that are unsettled. Replies to
        customers do not count: they are sent in every mode."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(keys.CAMPAIGNS)
        pipeline.hgetall(keys.LEDGERS)
        listed, ledgers = cast("tuple[Hash, Hash]", tuple(await pipeline.execute()))
        campaigns = [
            (campaign.decode(), vendor.decode())
            for campaign, vendor in {**listed, **ledgers}.items()
            if vendor.decode() in vendor_uids and vendor_of_replies(campaign.decode()) is None
        ]
        for campaign_uid, _ in campaigns:
            pipeline.hlen(keys.ledger(campaign_uid))
            pipeline.hlen(keys.claims(campaign_uid))
            pipeline.exists(keys.lease(campaign_lease(campaign_uid)))
            pipeline.get(keys.halt(campaign_uid))
        answers = iter(await pipeline.execute() if campaigns else [])
        found = [
            CampaignInFlight(uid, vendor, rows, claims, bool(held), untold=is_untold(halt))
            for (uid, vendor), rows, claims, held, halt in zip(
                campaigns, answers, answers, answers, answers, strict=True
            )
        ]
        return [one for one in found if one.unsettled or one.held]

    async def inboxes(self, vendor_uids: Set[str]) -> dict[str, WebhooksInFlight]:
        """Return what these vendors' inboxes hold, without the empty ones."""
        found = {
            accounting.vendor_uid: WebhooksInFlight(
                webhooks=sum(accounting.waiting.values()),
                updates=accounting.updates.parts["waiting"],
            )
            for accounting in await self._counters.read_some(vendor_uids)
        }
        return {vendor_uid: waiting for vendor_uid, waiting in found.items() if waiting}
