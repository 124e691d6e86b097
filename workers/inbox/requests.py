"""Shares updates out among requests to PHP.

Each update has an envelope of its own, so many small ones of a webhook are longer than it was. A
request is never longer than :data:`MAX_GROWTH` times the webhooks whose updates are in it, so PHP's
memory is bounded by what came in. Each webhook is counted by itself, so this holds for any part of
a request, too. An update that is longer than that goes alone.
"""

from collections.abc import Iterable, Iterator

import orjson

from contracts.backend import UpdateKind
from workers.inbox.update import Update

#: Maximum size of a request, except for a single update.
REQUEST_BYTES = 1024 * 1024

#: The same, in terms of the bytes of the webhooks whose updates are in it.
MAX_GROWTH = 3

#: A webhook counts as at least so long: its HTTP head is longer than that.
MIN_WEBHOOK_BYTES = 96

_OPEN, _CLOSE = b'{"updates":[', b"]}"


class _Request:
    """Updates that go together, and how much of it there is of each webhook."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self._size = 0
        self._of_webhook: dict[str, int] = {}
        self._is_full = False

    def add(self, group: list[Update], *, in_order: bool) -> bool:
        """Add updates of one order key, which they name if they are ``in_order``. Return False if
        they do not fit."""
        if self._is_full:
            return False
        order = len(orjson.dumps(group[0].order_key)) + len(b',"order":') if in_order else 0
        fits = True
        added: dict[str, int] = {}
        for update in group:
            size = update.request_bytes + order
            self._size += size
            for name, length, share in _shares(update, size):
                added[name] = (
                    added.get(name, self._of_webhook.get(name, len(_OPEN + _CLOSE))) + share
                )
                fits = fits and added[name] <= _allowed(length)
        fits = fits and self._size <= REQUEST_BYTES
        if not fits and len(self.updates) + len(group) > 1:
            self._is_full = True
            return False
        self._is_full = not fits
        self._of_webhook.update(added)
        self.updates += group
        return True


def _shares(update: Update, size: int) -> Iterator[tuple[str, int, int]]:
    """Return the webhooks of an update, the length of each, and how much of it there is at most in
    a request. What was coalesced into it may be of any of them but the first."""
    own = update.id.rpartition("/")[0]
    lower = sum(map(len, update.lower_statuses))
    for name, length in update.webhooks.items():
        yield name, length, size if name == own else lower


def _allowed(length: int) -> int:
    return MAX_GROWTH * max(length, MIN_WEBHOOK_BYTES)


def requests_of(
    updates: list[Update], batch_size: int, concurrency: int, together: int = 1
) -> list[list[Update]]:
    """Return the requests to make, each with all of an order key's updates that fit into it; the
    rest of them is in none.

    Customers' messages are spread over as many as may be made at once, because each takes PHP a
    while, ``together`` in each at least; the rest goes along. Bodies that cannot be split stand
    alone.
    """
    whole = [[update] for update in updates if update.kind is None]
    messages: dict[str, list[Update]] = {}
    others: dict[str, list[Update]] = {}
    for update in updates:
        if update.kind is not None:
            groups = messages if update.kind is UpdateKind.MESSAGE else others
            groups.setdefault(update.order_key, []).append(update)
    for order_key in messages.keys() & others.keys():  # an echo to the contact, for one
        messages[order_key] = [u for u in updates if u.order_key == order_key]
        del others[order_key]
    count = sum(map(len, messages.values()))
    spread = min(batch_size, max(together, -(-count // concurrency)))
    filled = _fill([_Request()], messages.values(), spread, batch_size)
    filled = _fill(filled, others.values(), batch_size, batch_size)
    return whole + [request.updates for request in filled if request.updates]


def body_of(updates: list[Update]) -> bytes:
    """Return the body of a request. Bots for which there is no room are left out: PHP matches them
    itself."""
    several = _repeated(update.order_key for update in updates)
    bodies = [u.as_update(in_order=u.order_key in several) for u in updates]
    webhooks = {name: length for u in updates for name, length in u.webhooks.items()}
    excess = (
        sum(map(len, bodies)) + len(bodies) + len(_OPEN) - sum(map(_allowed, webhooks.values()))
    )
    with_bots = [index for index, update in enumerate(updates) if update.bots is not None]
    for index in sorted(with_bots, key=lambda index: len(bodies[index]), reverse=True):
        if excess <= 0 or not webhooks:
            break
        update, length = updates[index], len(bodies[index])
        update.bots = None
        bodies[index] = update.as_update(in_order=update.order_key in several)
        excess += len(bodies[index]) - length
    return _OPEN + b",".join(bodies) + _CLOSE


def _fill(
    requests: list[_Request], groups: Iterable[list[Update]], wanted: int, batch_size: int
) -> list[_Request]:
    """Put groups into requests of about ``wanted`` updates, the last of which may have room."""
    for group in groups:
        bounded = _bounded(group[:batch_size])
        in_order = len(bounded) > 1
        last = requests[-1]
        full = last.updates and len(last.updates) + len(bounded) > wanted
        if full or not last.add(bounded, in_order=in_order):
            requests.append(_Request())
            requests[-1].add(bounded, in_order=in_order)
    return requests


def _bounded(group: list[Update]) -> list[Update]:
    """Return the first updates that may stand in one request."""
    if len(group) == 1:
        return group
    request = _Request()
    for update in group:
        if not request.add([update], in_order=True):
            break
    return request.updates


def _repeated(names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
