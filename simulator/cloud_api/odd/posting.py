"""Posts odd payloads, and keeps account of them."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import orjson

from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.number import Number
from simulator.cloud_api.odd.catalogue import OddKind, OddUse, kinds, use
from simulator.cloud_api.odd.tokens import Place, Tokens
from simulator.cloud_api.platform import Platform
from simulator.cloud_api.post import Acknowledgements
from simulator.cloud_api.raw_post import RawPost
from simulator.cloud_api.scheduler import Scheduler
from simulator.cloud_api.wamid import WamidMint

#: How far back it is looked for what a number has sent.
_LOOK_BACK = 500
#: How soon it is looked again.
_AGAIN_S = 0.2


class OddPost(RawPost):
    """Tells when it was acknowledged."""

    __slots__ = ("_then",)

    def __init__(self, posted: "PostedUse", at: int, now: float, then: Callable[[], None]) -> None:
        body = posted.use.bodies[at]
        super().__init__(body.sent, body.signature, now, retries=True, encoding=body.encoding)
        self._then = then

    def acknowledge(self, ledger: Acknowledgements) -> None:
        self._then()


class PostedUse:
    """``acknowledged``: how many of its bodies were."""

    __slots__ = ("acknowledged", "number", "use")

    def __init__(self, number: Number, use_: OddUse) -> None:
        self.number = number
        self.use = use_
        self.acknowledged = 0


class OddPosts:
    """The payloads of a use go out one after the other, with time to work on each."""

    def __init__(self, platform: Platform, scheduler: Scheduler, mint: WamidMint) -> None:
        self._clock = platform.clock
        self._rng = Random(platform.rng.random())
        self._windows = platform.windows
        self._ledger = platform.ledger
        self._delivery = platform.outbox.delivery
        self._scheduler = scheduler
        self._mint = mint
        self._gap_s = platform.config.odd_gap_ms / 1000
        self.posted: list[PostedUse] = []

    def post(self, number: Number, kind: OddKind) -> None:
        """Post a kind's payloads to a number that has somewhere to post to; as soon as it has sent
        something, where that is needed."""
        sent = _sent(self._ledger, number)
        if kind.needs_sent and not sent:
            self._scheduler.after(_AGAIN_S, lambda _: self.post(number, kind), None)
            return
        place = Place(number.phone_number_id, number.display_phone_number, number.account_id, sent)
        tokens = Tokens(place, self._mint, self._rng, self._clock.now())
        posted = PostedUse(number, use(kind, tokens))
        self.posted.append(posted)
        self._post(posted, 0)

    def draw(self, number: Number, *, steps: bool) -> OddKind:
        """Return one of the kinds that come at random; without ``steps`` only those of a single
        payload."""
        sent = _sent(self._ledger, number)
        return self._rng.choice(
            [
                kind
                for kind in kinds().values()
                if kind.random and (steps or len(kind.posts) == 1) and (sent or not kind.needs_sent)
            ]
        )

    def lines(self) -> Iterator[bytes]:
        """Yield one line of JSON for every use."""
        for posted in tuple(self.posted):
            yield orjson.dumps(_line(posted)) + b"\n"

    def _post(self, posted: PostedUse, at: int) -> None:
        subscription = posted.number.subscription
        if subscription is None:
            return
        now = self._clock.now()
        self._windows.read(posted.use.bodies[at].plain, now)
        self._delivery.push(
            subscription, OddPost(posted, at, now, lambda: self._acknowledged(posted, at))
        )

    def _acknowledged(self, posted: PostedUse, at: int) -> None:
        posted.acknowledged += 1
        if at + 1 < len(posted.use.bodies):
            self._scheduler.after(self._gap_s, lambda _: self._post(posted, at + 1), None)


def _sent(ledger: Ledger, number: Number) -> tuple[str, ...]:
    """Return what a number has sent lately; only what the other side knows by a status already, for
    it would wait for the rest."""
    recent = ledger.messages[-_LOOK_BACK:]
    return tuple(one.wamid for one in recent if one.number is number and one.acknowledged)


def _line(posted: PostedUse) -> dict[str, Any]:
    found = posted.use
    return {
        "kind": found.kind.name,
        "phone_number_id": posted.number.phone_number_id,
        "people": found.people,
        "marks": found.marks,
        "expect": found.expect,
        "bodies": [body.plain.decode(errors="replace") for body in found.bodies],
        "acknowledged": posted.acknowledged,
    }
