"""What a campaign would send, looked at without sending or claiming anything."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from contracts import backend as contract
from contracts.backend import ClaimedRow, VendorConfig
from contracts.preview import PreviewedMessage, PreviewMessagesAnswer, PreviewMessagesRequest
from sidecar.clock import now_ms
from sidecar.php.client import Backend
from sidecar.php.package import call_if_there
from sidecar.sending.rates import rate_of
from sidecar.sending.recipients import name_of
from sidecar.sending.requests import Unsendable, endpoint_of, number_of, request_of, template_of
from sidecar.sending.suppression import Suppressed
from sidecar.settings import Settings

#: Messages in one call of PHP.
PAGE = 500

#: Why a message is skipped, besides PHP's words (``error_status``).
SUPPRESSED = "suppressed"
UNSENDABLE = "unsendable"
NO_NUMBER = "no_number"

#: Meta counts recipients by the day.
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Request:
    """A call of the Cloud API as it would be made: ``POST /{number}/{path}``."""

    number: str
    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Share:
    """What goes out from one number, at so many messages per second where nothing slows it."""

    number: str
    messages: int
    per_s: float

    @property
    def seconds(self) -> float:
        return self.messages / self.per_s


@dataclass(slots=True)
class DryRun:
    """``requests`` are the first ones. ``numbers``: messages by the number that they go from;
    ``skipped``: those that are not sent, by why. ``later`` are not due yet, the last of them at
    ``last_due_at`` (unix ms). ``complete``: every queued message was looked at."""

    vendor: VendorConfig
    settings: Settings
    complete: bool = True
    requests: list[Request] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    later: int = 0
    last_due_at: int | None = None
    now: int = field(default_factory=now_ms)

    @property
    def messages(self) -> int:
        """How many would be sent."""
        return self.numbers.total()

    @property
    def shares(self) -> list[Share]:
        """Return what goes from which number, the most first."""
        return [
            Share(number, messages, rate_of(self.vendor, number, self.settings))
            for number, messages in self.numbers.most_common()
        ]

    @property
    def seconds(self) -> float:
        """How long that takes, from the first to the last, if all were due at once: numbers send
        side by side, and the portfolio's limit of recipients is for all of them."""
        daily = self.vendor.daily_recipients
        days = (self.messages - 1) // daily if self.messages and daily and daily > 0 else 0
        return max([days * _DAY_S, *(share.seconds for share in self.shares)])

    @property
    def json(self) -> dict[str, Any]:
        return {
            "messages": self.messages,
            "complete": self.complete,
            "seconds": round(self.seconds, 1),
            "numbers": [
                {"number": one.number, "messages": one.messages, "per_s": one.per_s}
                for one in self.shares
            ],
            "skipped": dict(self.skipped),
            "later": self.later,
            "last_due_at": self.last_due_at,
            "requests": [
                {"number": one.number, "path": one.path, "body": one.body} for one in self.requests
            ],
        }


async def dry_run(
    backend: Backend,
    suppressed: Suppressed | None,
    settings: Settings,
    campaign: contract.DueCampaign,
    *,
    shown: int,
    most: int,
) -> DryRun:
    """Return what would be sent of a campaign's queued messages, of the first ``most`` of them,
    and the first ``shown`` requests. ``suppressed`` None: Redis is away, and nobody is known to be.
    Raises
    :class:`~sidecar.php.package.PackageTooOld` and ``BackendError``."""
    found = DryRun(await _vendor(backend, campaign.vendor_uid), settings)
    seen = 0
    async for page in _pages(backend, campaign.campaign_uid):
        messages = page.messages[: most - seen]
        seen += len(messages)
        names = [_name(one.row) for one in messages]
        barred = await suppressed.find(campaign.vendor_uid, names) if suppressed else {}
        for message, name in zip(messages, names, strict=True):
            _add(found, message, shown, suppressed=name in barred)
        if seen == most and (page.next is not None or len(messages) < len(page.messages)):
            found.complete = False
            break
    return found


def _add(found: DryRun, message: PreviewedMessage, shown: int, *, suppressed: bool) -> None:
    row, why = message.row, message.skipped
    number = number_of(row, found.vendor)
    endpoint = endpoint_of(row, found.vendor)
    body: dict[str, Any] = {}
    try:
        body = request_of(row, template_of(row), endpoint.policy)
    except Unsendable:
        why = why or UNSENDABLE
    why = why or (SUPPRESSED if suppressed else None) or (None if number else NO_NUMBER)
    if why is not None:
        found.skipped[why] += 1
        return
    found.numbers[number] += 1
    if len(found.requests) < shown:
        found.requests.append(Request(number, endpoint.path, body))
    if message.due_at is not None and message.due_at > found.now:
        found.later += 1
        found.last_due_at = max(found.last_due_at or 0, message.due_at)


def _name(row: ClaimedRow) -> str:
    """Return what suppression knows the person by."""
    return name_of(row.to or row.recipient or "")


async def _vendor(backend: Backend, vendor_uid: str) -> VendorConfig:
    request = contract.VendorConfigRequest(vendor_uids=[vendor_uid])
    answer = await backend.call(contract.VENDOR_CONFIG, request, contract.VendorConfigAnswer)
    return answer.vendors[0] if answer.vendors else VendorConfig(vendor_uid=vendor_uid)


async def _pages(backend: Backend, campaign_uid: str) -> AsyncIterator[PreviewMessagesAnswer]:
    after: str | None = None
    while True:
        request = PreviewMessagesRequest(campaign_uid=campaign_uid, limit=PAGE, after=after)
        page = await call_if_there(
            backend, contract.PREVIEW_MESSAGES, request, PreviewMessagesAnswer
        )
        yield page
        after = page.next
        if after is None:
            return
