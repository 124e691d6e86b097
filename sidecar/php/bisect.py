"""Finding what PHP fails on, in a request about many things."""

from collections.abc import Awaitable, Callable, Hashable, Iterable
from itertools import chain
from typing import Generic, TypeVar

from sidecar.php.client import (
    BackendError,
    BackendRefused,
    BackendTimedOut,
    BackendUnavailable,
)

#: So many failures, and nothing that worked, and requests are not cut any more: enough to halve a
#: full batch down to one item (2 ** 10 > 1000), and to find another part that works.
MAX_FAILURES = 13

#: So many time-outs, and nothing that worked, and PHP is asked nothing more. They cost more, so a
#: request is cut into more pieces after one (8 ** 4 > 1000).
MAX_TIMEOUTS = 6
TIMEOUT_PIECES = 8

Item = TypeVar("Item")

#: Makes one request, or raises :class:`BackendError`. Where items have order keys, returns those
#: that PHP has left undone.
Ask = Callable[[list[Item]], Awaitable[Iterable[Item] | None]]


class Bisection(Generic[Item]):
    """Asks PHP about items; a request that fails is made again in smaller ones, until what PHP
    fails on stands alone. Use once.

    PHP that is unavailable, or refuses whatever it is asked, is asked nothing more. The smaller
    requests go in order, and those items of an order key that come after one that was not done do
    not go at all. Without ``cut_timeouts`` a request that PHP hangs on is given up as it stands.
    """

    def __init__(
        self,
        ask: Ask[Item],
        *,
        order_key: Callable[[Item], Hashable] | None = None,
        cut_timeouts: bool = True,
        max_failures: int = MAX_FAILURES,
    ) -> None:
        self._ask = ask
        self._order_key = order_key
        self._cut_timeouts = cut_timeouts
        self._max_failures = max_failures
        self._stuck: set[Hashable] = set()
        #: PHP has answered a request.
        self.worked = False
        self.failures = self.timeouts = 0
        #: What went wrong last.
        self.error: BackendError | None = None
        #: Items that PHP failed or hung on when it was asked about nothing else.
        self.alone: list[tuple[Item, BackendError]] = []
        #: Items of which nothing is known, because PHP seems to be ill.
        self.given_up: list[tuple[list[Item], BackendError]] = []

    @property
    def unavailable(self) -> bool:
        return isinstance(self.error, BackendUnavailable)

    @property
    def reason(self) -> str:
        """What went wrong last; nothing if all is well."""
        return "" if self.error is None else str(self.error)

    async def run(self, items: Iterable[Item]) -> None:
        waiting = [list(items)]
        while waiting and not self._is_over:
            part = [item for item in waiting.pop() if self._may_go(item)]
            if not part:
                continue
            try:
                undone = await self._ask(part)
            except BackendError as error:
                waiting += self._failed(part, _about_items(error))
            else:
                self.worked = True
                self._hold_up(undone or ())
        if waiting and self.error is not None:
            self.given_up.append((list(chain(*reversed(waiting))), self.error))

    @property
    def _is_over(self) -> bool:
        return self.unavailable or (self.timeouts >= MAX_TIMEOUTS and not self.worked)

    def _may_go(self, item: Item) -> bool:
        return self._order_key is None or self._order_key(item) not in self._stuck

    def _hold_up(self, items: Iterable[Item]) -> None:
        if self._order_key is not None:
            self._stuck.update(map(self._order_key, items))

    def _failed(self, part: list[Item], error: BackendError) -> list[list[Item]]:
        """Return the requests to make instead, the last one first."""
        self.error = error
        count = self._pieces(error)
        if len(part) > 1 and count > 1:
            size = -(-len(part) // count)
            return [part[start : start + size] for start in range(0, len(part), size)][::-1]
        if len(part) > 1 or self.unavailable:
            self.given_up.append((part, error))
        else:
            self.alone.append((part[0], error))
        self._hold_up(part)
        return []

    def _pieces(self, error: BackendError) -> int:
        """Return into how many a request is cut that has failed so."""
        if isinstance(error, BackendUnavailable):
            return 1
        if isinstance(error, BackendTimedOut):
            self.timeouts += 1
            return TIMEOUT_PIECES if self._cut_timeouts else 1
        self.failures += 1
        return 2 if self.worked or self.failures < self._max_failures else 1


def _about_items(error: BackendError) -> BackendError:
    return error.about_items() if isinstance(error, BackendRefused) else error
