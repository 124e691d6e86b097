"""What the pages of campaigns show, read once for all who look."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.console.console import Console
from sidecar.console.live import Shared
from sidecar.console.number_rows import NumberRow, rows_of
from sidecar.ops.campaigns import (
    Campaign,
    read_all,
    read_all_of_redis,
    read_one,
    read_one_of_redis,
)
from sidecar.ops.failures import Failure, failures_in
from sidecar.ops.numbers import lines_of
from sidecar.php.client import BackendError

T = TypeVar("T")

#: How long what was read holds. PHP counts rows and messages for it, of all campaigns for a list,
#: and reads some thousand of them for errors.
LIST_S = 5.0
ONE_S = 1.5
ERRORS_S = 15.0
#: How long PHP is waited for.
LIST_TIMEOUT_S = 10.0
ONE_TIMEOUT_S = 4.0
#: Campaigns that are looked at at the same time.
MAX_ONES = 100


@dataclass(frozen=True, slots=True)
class CampaignView:
    """``numbers``: the lines that the vendor sends from, and how they stand."""

    one: Campaign
    numbers: list[NumberRow] = field(default_factory=list)

    @property
    def limit(self) -> float | None:
        """Messages per second at most, where that is the same whatever number is used."""
        limits = {row.state.configured_rate for row in self.numbers if row.state}
        return limits.pop() if len(limits) == 1 else None


class CampaignViews:
    """Raises redis-py's errors. While PHP does not answer, there is what Redis knows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._list = Shared(self._read_list, LIST_S)
        self._ones: dict[str, Shared[CampaignView]] = {}
        self._errors: dict[str, Shared[list[Failure] | None]] = {}

    async def all(self) -> list[Campaign]:
        return await self._list.get()

    async def one(self, uid: str) -> CampaignView:
        return await _shared(self._ones, uid, self._read_one, ONE_S).get()

    async def errors(self, uid: str) -> list[Failure] | None:
        """Return what a campaign's messages have failed of, the most frequent first; None if PHP
        cannot tell."""
        return await _shared(self._errors, uid, self._read_errors, ERRORS_S).get()

    def forget(self, uid: str) -> None:
        """Have it read again: somebody has changed it."""
        self._list = Shared(self._read_list, LIST_S)
        self._ones.pop(uid, None)
        self._errors.pop(uid, None)

    async def _read_list(self) -> list[Campaign]:
        redis = self._console.redis
        try:
            return await read_all(redis, self._console.backend, LIST_TIMEOUT_S)
        except BackendError as error:
            return await read_all_of_redis(redis, str(error))

    async def _read_one(self, uid: str) -> CampaignView:
        redis = self._console.redis
        try:
            one = await read_one(redis, self._console.backend, uid, ONE_TIMEOUT_S)
        except BackendError as error:
            one = await read_one_of_redis(redis, uid, str(error))
        return CampaignView(one, await self._numbers(one))

    async def _numbers(self, one: Campaign) -> list[NumberRow]:
        """While PHP is away, of a vendor that is known."""
        vendors = self._console.vendors
        config = vendors.peek(one.vendor_uid or "")[1]
        if config is None and one.php is not None:
            try:
                config = await vendors.get(one.php.vendor_uid)
            except BackendError:
                return []  # the next look at the campaign finds that PHP is away
        return rows_of(await lines_of(self._console.redis, config)) if config else []

    async def _read_errors(self, uid: str) -> list[Failure] | None:
        try:
            one = await read_one(None, self._console.backend, uid, LIST_TIMEOUT_S, errors=True)
        except BackendError:
            return None  # the page says that they are not known
        errors = one.php.errors if one.php else None
        return None if errors is None else failures_in(errors)


def _shared(
    kept: dict[str, Shared[T]], uid: str, read: Callable[[str], Awaitable[T]], for_s: float
) -> Shared[T]:
    if uid not in kept:
        if len(kept) >= MAX_ONES:
            kept.pop(next(iter(kept)))
        kept[uid] = Shared(lambda: read(uid), for_s)
    return kept[uid]
