"""What a move would do, for whoever is about to ask for it. Changes nothing."""

from collections.abc import Iterator, Sequence

from contracts.modes import Capability, Mode, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.format import duration
from sidecar.migration.in_flight import InFlight
from sidecar.redis.client import Redis
from sidecar.settings import Settings
from sidecar.shadow.parity import ParityReader
from sidecar.shadow.rules import Kind

#: Campaigns in flight, inboxes and vendors in shadow that are named.
MAX_NAMED = 5


def changes(vendor: VendorModes, asked: ModesChange) -> list[str]:
    """Return what changes for a vendor, in words."""
    return [
        f"{name}: {getattr(vendor.modes, name.value)} → {wanted}"
        for name in Capability
        if (wanted := getattr(asked, name.value)) not in (None, getattr(vendor.modes, name.value))
    ]


def consequences(
    vendors: Sequence[VendorModes], asked: ModesChange, settle_s: float
) -> Iterator[str]:
    """Return what follows from moving these vendors, in sentences. ``settle_s``: the setting
    ``cron_settle_s``."""
    now = [vendor.modes for vendor in vendors]
    if asked.campaigns is Mode.SIDECAR and any(m.campaigns is not Mode.SIDECAR for m in now):
        yield (
            f"Nobody sends the campaigns for about {duration(settle_s)} (cron_settle_s), so that "
            "PHP's cron ends what it has in hand."
        )
    given_back = asked.campaigns in (Mode.PHP, Mode.SHADOW)
    if given_back and any(m.campaigns in (Mode.SIDECAR, Mode.HELD) for m in now):
        yield (
            "Nothing more is claimed, what was claimed and not sent goes back to PHP's queue, and "
            f"sends under way end. This waits for {duration(asked.timeout_s)} at most. Campaigns "
            "that are paused stay so until somebody resumes them: the cron goes on with the others."
        )
    handed_back = asked.webhooks in (Mode.PHP, Mode.SHADOW)
    if handed_back and any(m.webhooks is Mode.SIDECAR for m in now):
        yield "Webhooks that are in the inbox are still handed to PHP."


class Preview:
    """Looks at what a move would meet."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._in_flight = InFlight(redis)
        self._parity = ParityReader(redis)
        self._settings = settings

    async def read(self, vendors: Sequence[VendorModes], asked: ModesChange) -> list[str]:
        """Return what follows from moving these vendors, what of theirs is in flight, and whether
        shadow says that they are ready. Raises redis-py's errors."""
        return [
            *consequences(vendors, asked, self._settings.cron_settle_s),
            *await self._what_is_in_flight({vendor.vendor_uid for vendor in vendors}),
            *await self._how_ready(vendors, asked),
        ]

    async def _what_is_in_flight(self, vendor_uids: set[str]) -> list[str]:
        campaigns = [
            f"In flight: {campaign}." for campaign in await self._in_flight.campaigns(vendor_uids)
        ]
        inboxes = [
            f"In the inbox of {vendor_uid}: {waiting}."
            for vendor_uid, waiting in (await self._in_flight.inboxes(vendor_uids)).items()
        ]
        return [
            *_first(campaigns, "campaigns are in flight"),
            *_first(inboxes, "inboxes hold some"),
        ]

    async def _how_ready(self, vendors: Sequence[VendorModes], asked: ModesChange) -> list[str]:
        """Say what shadow has found of vendors whose work comes to the sidecar."""
        ready: list[str] = []
        coming = [
            vendor.vendor_uid
            for vendor in vendors
            if any(
                getattr(asked, name.value) is Mode.SIDECAR is not getattr(vendor.modes, name.value)
                for name in Capability
            )
        ]
        for vendor_uid in coming[:MAX_NAMED]:
            parity = await self._parity.read(vendor_uid)
            obstacles = parity.obstacles(self._settings)
            if not parity.counts:
                ready.append(f"Shadow has compared nothing of {vendor_uid}.")
            elif obstacles:
                ready.append(f"Shadow: {vendor_uid} is not ready: {'; '.join(obstacles)}.")
            else:
                ready.append(f"Shadow: {vendor_uid} is ready.")
            no_campaign = parity.counts and not parity.total(kind=Kind.CAMPAIGN)
            if asked.campaigns is Mode.SIDECAR and no_campaign:
                ready.append(f"Shadow has compared no message of a campaign of {vendor_uid}.")
        if len(coming) > MAX_NAMED:
            ready.append(f"sidecar parity tells of the other {len(coming) - MAX_NAMED:,}.")
        return ready


def _first(words: list[str], what: str) -> list[str]:
    more = len(words) - MAX_NAMED
    return words if more <= 0 else [*words[:MAX_NAMED], f"{more:,} more {what}."]
